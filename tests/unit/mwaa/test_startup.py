"""The startup script of MWAA chooses the settings by the name of the environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "infrastructure" / "mwaa" / "startup.sh"


def _settings(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f'. {SCRIPT} && printf %s "$NEXUS_SETTINGS"'],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["dev", "prod", "team-a"])
def test_settings_are_those_that_the_environment_is_named_after(name: str) -> None:
    assert _settings(AIRFLOW_ENV_NAME=f"nexus-llm-{name}").stdout == name


def test_settings_that_were_chosen_before_are_kept() -> None:
    assert _settings(AIRFLOW_ENV_NAME="nexus-llm-dev", NEXUS_SETTINGS="prod").stdout == "prod"


def test_startup_fails_rather_than_take_the_settings_of_another_environment() -> None:
    done = _settings()
    assert done.returncode != 0
    assert "AIRFLOW_ENV_NAME" in done.stderr
