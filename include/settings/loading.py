"""Settings from a TOML file, strictly; chosen by the environment variable NEXUS_SETTINGS."""

from __future__ import annotations

import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from include.contracts.errors import SettingsError
from include.contracts.records import from_plain
from include.settings.model import Settings

_FOLDER = Path(__file__).parent
_PACKAGED = ("dev", "prod")


def load_settings(choice: str | None = None) -> Settings:
    """Load the settings ``dev``, ``prod`` or of a file; by default those of NEXUS_SETTINGS, else ``dev``."""
    return _load(choice or os.environ.get("NEXUS_SETTINGS") or "dev")


@lru_cache(maxsize=8)
def _load(choice: str) -> Settings:
    path = _FOLDER / f"{choice}.toml" if choice in _PACKAGED else Path(choice)
    where = f"settings/{choice}.toml" if choice in _PACKAGED else str(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"cannot be read ({error})",
            where=where,
            expected=f"one of {', '.join(_PACKAGED)} or the path of a TOML file",
            remedy="set NEXUS_SETTINGS",
        ) from error
    return settings_from_toml(text, where=where)


def settings_from_toml(text: str, *, where: str) -> Settings:
    """Parse and validate. Raises SettingsError with file and field."""
    try:
        plain: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"not valid TOML ({error})", where=where) from error
    try:
        return from_plain(Settings, plain, where=where, error=SettingsError)
    except SettingsError as error:
        if error.where:
            raise
        raise SettingsError(str(error), where=where) from error
