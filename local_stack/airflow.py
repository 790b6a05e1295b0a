"""Airflow's configuration and its four processes, as environment variables and commands."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

from local_stack.config import StackConfig

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")

#: Variables passed on from the caller's environment. Others could change settings of the system.
_INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def base_environment(config: StackConfig) -> dict[str, str]:
    """Return the variables of every process of the local system: endpoint, dummy credentials, paths."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": config.aws_endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NEXUS_ROOT": str(config.repository),
        "NEXUS_SETTINGS": str(config.settings_file),
        "PYTHONPATH": f"{config.repository}:{config.repository / 'plugins'}",
        "PYTHONUNBUFFERED": "1",
    }


def airflow_environment(config: StackConfig) -> dict[str, str]:
    """Return Airflow's configuration: as on MWAA, except for the database, the executor and the ports.

    Heartbeats are short, so that the loss of a worker is noticed within half a minute.
    """
    keys = _secrets(config.airflow_home)
    options = {
        "CORE__DAGS_FOLDER": str(config.repository / "dags"),
        "CORE__PLUGINS_FOLDER": str(config.repository / "plugins"),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "8",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__FERNET_KEY": keys["fernet"],
        "CORE__EXECUTION_API_SERVER_URL": f"{config.airflow_url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(config.airflow_home / "passwords.json"),
        # by default sqlite3 gives up after waiting 5 s for a lock, which a busy scheduler can hold longer
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{config.airflow_home / 'airflow.db'}?timeout=60",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(config.airflow_port),
        "API__BASE_URL": config.airflow_url,
        "API__WORKERS": "1",
        "API__DEFAULT_WRAP": "True",  # errors end with what to do, which the log view would cut off
        "API__SECRET_KEY": keys["api"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        "LOGGING__BASE_LOG_FOLDER": str(config.airflow_home / "task_logs"),
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    prefixed = {f"AIRFLOW__{name}": value for name, value in options.items()}
    return base_environment(config) | {"AIRFLOW_HOME": str(config.airflow_home)} | prefixed


def airflow_command(config: StackConfig, *arguments: str) -> list[str]:
    """Return a command line of Airflow in its own environment."""
    return [str(config.python("airflow")), "-m", "airflow", *arguments]


def component_command(config: StackConfig, component: str) -> list[str]:
    """Return the command line of one of COMPONENTS.

    The log server is off: logs are read from their files, and it would listen on every address.
    """
    quiet = ["--skip-serve-logs"] if component in ("scheduler", "triggerer") else []
    return airflow_command(config, component, *quiet)


def _secrets(home: Path) -> dict[str, str]:
    """Read this system's random keys. Create them if missing, readable only by their owner."""
    path = home / "secrets.json"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        jwt, api = secrets.token_hex(32), secrets.token_hex(32)
        fernet = base64.urlsafe_b64encode(hashlib.sha256(secrets.token_bytes(32)).digest()).decode()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as sink:
            json.dump({"jwt": jwt, "api": api, "fernet": fernet}, sink)
    keys: dict[str, str] = json.loads(path.read_text())
    return keys
