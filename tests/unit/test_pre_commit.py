"""One `pre-commit install` installs every hook of .pre-commit-config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())


def stages() -> dict[str, list[str]]:
    """Return the stages of each hook, by its id."""
    hooks = [hook for repository in CONFIGURATION["repos"] for hook in repository["hooks"]]
    return {hook["id"]: hook.get("stages", CONFIGURATION["default_stages"]) for hook in hooks}


def test_every_stage_that_a_hook_runs_in_is_installed() -> None:
    """Without the list, `pre-commit install` installs the stage pre-commit alone."""
    used = {stage for named in stages().values() for stage in named}
    assert used == set(CONFIGURATION["default_install_hook_types"])


def test_make_check_runs_before_a_push_and_nothing_slow_before_a_commit() -> None:
    assert stages() == {"ruff-format": ["pre-commit"], "ruff": ["pre-commit"], "check": ["pre-push"]}
