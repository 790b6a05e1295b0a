"""Folders and ports of the local system."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from include.contracts.errors import SettingsError


@dataclass(frozen=True)
class StackConfig:
    """Folders and ports. Each port can be set by an environment variable, which errors name."""

    repository: Path
    state: Path
    aws_port: int
    airflow_port: int
    serving_port: int
    #: Replaces the training recipe of the dev settings unless it is empty.
    training_recipe: str = ""

    @classmethod
    def from_environment(cls, state: Path | None = None) -> StackConfig:
        repository = Path(os.environ.get("NEXUS_ROOT") or Path(__file__).parent.parent).resolve()
        default_state = Path(os.environ.get("NEXUS_STATE") or repository / "build" / "stack")
        return cls(
            repository=repository,
            state=(state or default_state).resolve(),
            aws_port=_port("NEXUS_AWS_PORT", 4566),
            airflow_port=_port("NEXUS_AIRFLOW_PORT", 8080),
            serving_port=_port("NEXUS_SERVING_PORT", 8088),
            training_recipe=os.environ.get("NEXUS_TRAINING_RECIPE", ""),
        )

    @property
    def aws_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def serving_url(self) -> str:
        return f"http://127.0.0.1:{self.serving_port}"

    @property
    def aws_root(self) -> Path:
        return self.state / "aws"

    @property
    def airflow_home(self) -> Path:
        return self.state / "airflow"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def settings_file(self) -> Path:
        return self.state / "settings.toml"

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of the environments that `make setup` fills."""
        return tuple((self.repository / "infrastructure" / "setup" / "environments.txt").read_text().split())

    def python(self, environment: str) -> Path:
        """Return the interpreter of one of the environments that `make setup` fills."""
        return self.repository / ".venvs" / environment / "bin" / "python"

    def require_free_ports(self) -> None:
        """Raise an error that names the port and its variable if a port is in use."""
        for variable, port in (
            ("NEXUS_AWS_PORT", self.aws_port),
            ("NEXUS_AIRFLOW_PORT", self.airflow_port),
            ("NEXUS_SERVING_PORT", self.serving_port),
        ):
            if not port_is_free(port):
                raise SettingsError(
                    f"port {port} is in use by another program",
                    where=variable,
                    expected="a free port on 127.0.0.1",
                    remedy=f"stop it (`make down` ends our own), or run with {variable}=<another port>",
                )


def port_is_free(port: int) -> bool:
    """Return True if 127.0.0.1:port can be bound now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise SettingsError("not a usable port", where=variable, expected="1024 to 65535", got=repr(text))
    return int(text)
