"""Errors that name the problem, its place, the expected and the found value, and the next step."""

from __future__ import annotations

#: A value that the user gave may have megabytes, and the error is one line in logs and pages.
_LONGEST_PART = 2000


class NexusError(Exception):
    """The base of every error that is written for the user.

    ``where`` names the file, key or field; ``remedy`` is the next step.
    """

    def __init__(
        self, what: str, *, where: str = "", expected: str = "", got: str = "", remedy: str = ""
    ) -> None:
        parts = [f"{where}: {what}" if where else what]
        if expected:
            parts.append(f"expected {expected}")
        if got:
            parts.append(f"got {got}")
        if remedy:
            parts.append(f"to do: {remedy}")
        super().__init__("; ".join(map(_shortened, parts)))
        self.where = where
        self.remedy = remedy


def _shortened(part: str) -> str:
    return part if len(part) <= _LONGEST_PART else f"{part[:_LONGEST_PART]}… ({len(part):,} characters)"


class ContractError(NexusError):
    """Raised if a record does not have the form that producer and consumer have agreed on."""


class IntegrityError(NexusError):
    """Raised if bytes differ from their manifest."""


class RecipeError(NexusError):
    """Raised if a recipe has an unknown key or an impossible value."""


class SettingsError(NexusError):
    """Raised if a setting is missing or impossible."""


class InputError(NexusError):
    """Raised if an input of the user cannot be read: a shard, a tokenizer, a folder, a bucket."""
