"""Errors of a shard or a list: a passing failure, a refusal, or bytes other than those promised."""

from __future__ import annotations

from include.contracts.errors import InputError, IntegrityError, NexusError

_LONGEST_SAYING = 200


def plain(text: str) -> str:
    """Return a server's text as it may be logged: printable, and cut."""
    return "".join(character for character in text if character.isprintable())[:_LONGEST_SAYING]


class SourceUnavailable(NexusError):
    """Raised for a failure, a stall or a request to wait. A later try may succeed.

    ``retry_after_seconds`` is the wait that the server asked for, 0 if it named none.
    """

    def __init__(self, what: str, *, retry_after_seconds: float = 0.0, **details: str) -> None:
        super().__init__(what, **details)
        self.retry_after_seconds = retry_after_seconds


class SourceRefused(InputError):
    """Raised for a URL that may not be fetched, or a file that the server refuses."""


class ShardMismatch(IntegrityError):
    """Raised for bytes other than published; ``what``, ``expected``, ``got`` go to the quarantine note."""

    def __init__(self, what: str, *, where: str, expected: str, got: str, remedy: str = "") -> None:
        super().__init__(what, where=where, expected=expected, got=got, remedy=remedy)
        self.what = what
        self.expected = expected
        self.got = got
