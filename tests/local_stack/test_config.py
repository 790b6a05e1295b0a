"""Ports of the local system."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import SettingsError
from local_stack.config import StackConfig
from tests.support.ports import free_port


def test_a_port_in_use_is_refused_with_the_variable_that_moves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("NEXUS_AIRFLOW_PORT", str(port))
        for name in ("NEXUS_AWS_PORT", "NEXUS_SERVING_PORT"):  # the usual ones may be in use by `make up`
            monkeypatch.setenv(name, str(free_port()))
        config = StackConfig.from_environment(tmp_path)
        with pytest.raises(
            SettingsError, match=rf"NEXUS_AIRFLOW_PORT: port {port} is in use.*NEXUS_AIRFLOW_PORT=<"
        ):
            config.require_free_ports()


@pytest.mark.parametrize("text", ["", "eighty", "80", "70000", "-1"])
def test_an_impossible_port_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: Any
) -> None:
    monkeypatch.setenv("NEXUS_AWS_PORT", text)
    with pytest.raises(SettingsError, match="NEXUS_AWS_PORT: not a usable port"):
        StackConfig.from_environment(tmp_path)


def test_up_with_a_port_in_use_exits_1_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        environment = os.environ | {
            "NEXUS_AWS_PORT": str(other.getsockname()[1]),
            "NEXUS_STATE": str(tmp_path / "stack"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "local_stack", "up"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "NEXUS_AWS_PORT" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "stack" / "processes.json").exists()
