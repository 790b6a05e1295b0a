"""Checks of settings: an impossible value is refused by its name in the file."""

from __future__ import annotations

import re

from include.contracts.errors import ContractError, SettingsError
from include.contracts.storage import S3Uri

ARN_NAME = re.compile(r"[\w+=,.@/-]{1,128}")


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """SettingsError that names the setting, what it may be and what it is."""
    if not condition:
        raise SettingsError("impossible value", where=name, expected=expected, got=repr(got))


def at_least(name: str, value: int, bound: int) -> None:
    """Check a number with a lower bound."""
    require(value >= bound, name, f"at least {bound}", value)


def s3_uri(name: str, value: str) -> None:
    """Check an address ``s3://bucket/…``."""
    try:
        S3Uri.parse(value)
    except ContractError as error:
        raise SettingsError(
            "impossible value", where=name, expected="s3://bucket/prefix", got=repr(value)
        ) from error
