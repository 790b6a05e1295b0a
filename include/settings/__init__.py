"""Settings of an environment: account, buckets, images, sizes. Frozen dataclasses read from TOML."""

from include.settings.loading import load_settings, settings_from_toml
from include.settings.model import Settings

__all__ = ["Settings", "load_settings", "settings_from_toml"]
