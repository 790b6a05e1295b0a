"""Errors that say what is wrong, where, what was expected and got, and what to do."""

from __future__ import annotations


class NexusError(Exception):
    """Base of every error that a user is meant to read.

    ``where`` names the file, key or field; ``remedy`` is the next step for the reader.
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
        super().__init__("; ".join(parts))
        self.where = where
        self.remedy = remedy


class ContractError(NexusError):
    """A document that crossed a boundary does not have the agreed form."""


class IntegrityError(NexusError):
    """Bytes differ from what their manifest promises."""


class RecipeError(NexusError):
    """A recipe has an unknown key or an impossible value."""


class SettingsError(NexusError):
    """A setting is missing or impossible."""


class InputError(NexusError):
    """What the user gave cannot be read: a shard, a tokenizer, a folder, a bucket."""
