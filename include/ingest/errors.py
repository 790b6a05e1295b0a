"""Why a shard or a list could not be had: for now, for good, or because it is not what was promised."""

from __future__ import annotations

from include.contracts.errors import InputError, IntegrityError, NexusError

_LONGEST_SAYING = 200


def plain(text: str) -> str:
    """What a server said, as it may stand in a log: printable, and cut."""
    return "".join(character for character in text if character.isprintable())[:_LONGEST_SAYING]


class SourceUnavailable(NexusError):
    """The server failed, stalled or asked for patience; a later try may succeed.

    ``retry_after_seconds`` is what the server asked for, 0 when it said nothing.
    """

    def __init__(self, what: str, *, retry_after_seconds: float = 0.0, **details: str) -> None:
        super().__init__(what, **details)
        self.retry_after_seconds = retry_after_seconds


class SourceRefused(InputError):
    """The address is not fetched, or the server says that there is no such file for us."""


class ShardMismatch(IntegrityError):
    """What came is not what was promised; ``what``, ``expected`` and ``got`` go into the quarantine note."""

    def __init__(self, what: str, *, where: str, expected: str, got: str, remedy: str = "") -> None:
        super().__init__(what, where=where, expected=expected, got=got, remedy=remedy)
        self.what = what
        self.expected = expected
        self.got = got
