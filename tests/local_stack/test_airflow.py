"""Airflow of the local system: its variables, its commands and its keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from local_stack.airflow import (
    COMPONENTS,
    airflow_command,
    airflow_environment,
    base_environment,
    component_command,
)
from local_stack.config import StackConfig


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    return StackConfig(tmp_path / "repository", tmp_path / "state", 4001, 4002, 4003)


def test_processes_get_the_local_endpoint_and_nothing_of_the_callers_settings(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    variables = base_environment(config)
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4001"
    assert variables["TZ"] == "Europe/Berlin"
    assert variables["NEXUS_SETTINGS"] == str(config.settings_file)
    assert variables["PYTHONPATH"].split(":") == [
        str(config.repository),
        str(config.repository / "plugins"),
    ]
    assert {"AWS_PROFILE", "AIRFLOW__CORE__EXECUTOR", "REQUESTS_CA_BUNDLE"}.isdisjoint(variables)


def test_airflow_uses_the_folders_and_ports_of_its_system(config: StackConfig) -> None:
    variables = airflow_environment(config)
    assert variables["AIRFLOW__CORE__DAGS_FOLDER"] == str(config.repository / "dags")
    assert variables["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(config.repository / "plugins")
    assert variables["AIRFLOW__API__PORT"] == "4002"
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:4002/execution/"
    assert variables["AIRFLOW_HOME"] == str(config.airflow_home)
    assert str(config.airflow_home) in variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert variables["AWS_ENDPOINT_URL"] == config.aws_endpoint


def test_keys_are_random_readable_by_their_owner_alone_and_kept(config: StackConfig, tmp_path: Path) -> None:
    first = airflow_environment(config)
    path = config.airflow_home / "secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert airflow_environment(config) == first
    names = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")
    other = airflow_environment(StackConfig(config.repository, tmp_path / "other", 1, 2, 3))
    assert len({variables[name] for variables in (first, other) for name in names}) == 6
    assert len(base64.urlsafe_b64decode(first[names[0]])) == 32
    assert all(len(bytes.fromhex(first[name])) == 32 for name in names[1:])
    assert sorted(json.loads(path.read_text())) == ["api", "fernet", "jwt"]


def test_commands_run_in_airflows_own_environment(config: StackConfig) -> None:
    python = str(config.repository / ".venvs/airflow/bin/python")
    assert airflow_command(config, "db", "migrate") == [python, "-m", "airflow", "db", "migrate"]


def test_the_log_server_is_off_in_the_components_that_have_one(config: StackConfig) -> None:
    quiet = {name for name in COMPONENTS if "--skip-serve-logs" in component_command(config, name)}
    assert quiet == {"scheduler", "triggerer"}
    assert component_command(config, "api-server")[3:] == ["api-server"]
