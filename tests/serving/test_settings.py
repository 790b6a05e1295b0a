"""Settings: read once, by name, and refused by name."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from include.contracts.errors import SettingsError
from serving.settings import VARIABLES, ServerSettings

NEEDED = {"MODEL_URI": "s3://nexus-llm-models/runs/r/serving_model/", "MODEL_MANIFEST_SHA256": "a" * 64}


def test_defaults_listen_on_this_machine_only() -> None:
    settings = ServerSettings.from_environment(NEEDED)
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)


def test_the_guide_names_the_stop_timeout_of_the_task_and_the_defaults_fit_in_it() -> None:
    root = Path(__file__).parents[2]
    definition = (root / "include/aws/ecs.py").read_text()
    stop_timeout = re.search(r'"stopTimeout": (\d+)', definition)
    assert stop_timeout
    assert f"stop timeout ({stop_timeout[1]} s" in (root / "docs/guides/serving.md").read_text()
    settings = ServerSettings.from_environment(NEEDED)
    assert settings.lame_duck + settings.drain_timeout < timedelta(seconds=int(stop_timeout[1]))


def test_every_variable_is_read() -> None:
    given = {
        **NEEDED,
        "HOST": "0.0.0.0",
        "PORT": "9000",
        "SERVED_MODEL_NAME": "mine",
        "MAX_CONCURRENT_REQUESTS": "7",
        "MAX_BATCHED_TOKENS": "64",
        "KV_CACHE_GIB": "2",
        "INFERENCE_THREADS": "3",
        "MAX_BODY_BYTES": "2048",
        "LAME_DUCK_SECONDS": "0.5",
        "DRAIN_TIMEOUT_SECONDS": "9",
        "MODEL_DIRECTORY": "/models",
    }
    assert set(given) == {variable for variable, _ in VARIABLES.values()}
    settings = ServerSettings.from_environment(given)
    default = ServerSettings.from_environment(NEEDED)
    optional = set(VARIABLES) - {"model_uri", "model_manifest_sha256"}
    assert all(getattr(settings, name) != getattr(default, name) for name in optional)
    assert settings.lame_duck == timedelta(seconds=0.5)


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        ServerSettings.from_environment({**NEEDED, missing: " "})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL_URI", "http://models/x"),
        ("MODEL_MANIFEST_SHA256", "abc"),
        ("PORT", "70000"),
        ("PORT", "eighty"),
        ("MAX_CONCURRENT_REQUESTS", "0"),
        ("KV_CACHE_GIB", "0.5"),
        ("LAME_DUCK_SECONDS", "-1"),
        ("LAME_DUCK_SECONDS", "nan"),
        ("DRAIN_TIMEOUT_SECONDS", "inf"),
    ],
)
def test_an_impossible_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        ServerSettings.from_environment({**NEEDED, variable: value})
