"""A small git repository with one module, its tests, and a test.sh like the real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''"""Sums."""

LIMIT = 10


def total(values: list[int]) -> int:
    """Add up what is below the limit."""
    result = 0
    for value in values:
        if value < LIMIT:
            result += value
    return result
'''
TESTS = """from include.gates.sums import total


def test_values_are_added() -> None:
    assert total([1, 2]) == 3
"""
SCRIPT = f"""#!/usr/bin/env bash
declare -A environment=([unit]=airflow [dags]=airflow)
{sys.executable} -m pytest -p no:cacheprovider "tests/$2"
code=$?
printf 'FAILED (%s)\\n' $code
exit $code
"""


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with ``include/gates/sums.py``, committed."""
    root = tmp_path / "repository"
    files = {
        "include/gates/sums.py": MODULE,
        "include/gates/__init__.py": "",
        "include/__init__.py": "",
        "tests/unit/gates/test_sums.py": TESTS,
        "tests/unit/gates/test_other.py": "def test_nothing() -> None:\n    pass\n",
        "tests/dags/test_dag.py": "def test_nothing() -> None:\n    pass\n",
        "infrastructure/setup/test.sh": SCRIPT,
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib -ra"\n',
        ".gitignore": "build/\n__pycache__/\n.venvs\n",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root
