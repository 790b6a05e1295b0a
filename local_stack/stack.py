"""Start, stop and look at the local system."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from include.settings.loading import load_settings
from local_aws.interruption import child, uninterrupted
from local_aws.jobs.leftovers import end_leftovers
from local_stack.airflow import (
    COMPONENTS,
    airflow_command,
    airflow_environment,
    base_environment,
    component_command,
)
from local_stack.config import StackConfig
from local_stack.processes import ProcessBook, ProcessFailed, ProcessRecord
from local_stack.provision import package_and_upload, provision, write_settings

Announce = Callable[[str], None]


class Stack:
    """The local system of one state folder."""

    def __init__(self, config: StackConfig) -> None:
        self.config = config
        self.book = ProcessBook(config.state)

    def up(self, announce: Announce = print) -> None:
        """Start the processes that are not running, and return when every part answers."""
        running = {record.name for record in self.book.records() if record.alive}
        if running == {"local_aws", *COMPONENTS}:
            # Airflow reads changed DAGs by itself; the code of the jobs must be uploaded
            package_and_upload(self.config, load_settings(str(self.config.settings_file)))
            announce("already running")
            return
        if running:
            announce(f"only a part of an earlier system is running ({', '.join(sorted(running))}): ending it")
        self.down(lambda _: None)
        self.config.require_free_ports()
        self.config.state.mkdir(parents=True, exist_ok=True)
        self.config.state.chmod(0o700)  # logs, buckets and the database are readable only by their owner
        write_settings(self.config)
        try:
            self._start(announce)
        except BaseException:
            self.down(lambda _: None)
            raise

    def down(self, announce: Announce = print) -> None:
        """Stop every process. Jobs end with local_aws, or here if local_aws was killed before."""
        with uninterrupted():
            ended = self.book.stop_all()
            leftovers = end_leftovers(self.config.aws_root)
        for name in ended:
            announce(f"stopped {name}")
        if leftovers:
            announce(f"stopped {leftovers} processes of jobs that a killed local_aws left behind")

    def status(self) -> dict[str, bool]:
        """Return the processes by name, True for those that are alive."""
        alive = {record.name: record.alive for record in self.book.records()}
        return {name: alive.get(name, False) for name in ("local_aws", *COMPONENTS)}

    def _start(self, announce: Announce) -> None:
        command = airflow_command(self.config, "db", "migrate")
        environment = airflow_environment(self.config)
        with child(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as migration:
            announce(f"local AWS on {self.config.aws_endpoint}")
            self.start_local_aws()
            provision(self.config)
            output, _ = migration.communicate()
        if migration.returncode:
            raise ProcessFailed("`airflow db migrate` failed", got=output[-2000:])
        announce(f"Airflow on {self.config.airflow_url}")
        records = {component: self.start_airflow(component) for component in COMPONENTS}
        self._wait(records["api-server"], f"{self.config.airflow_url}/api/v2/version", 120)
        self._wait_for_components(list(records.values()), 90)

    def start_local_aws(self) -> ProcessRecord:
        """Start only the AWS endpoint, and return when it answers."""
        command = [str(self.config.python("local_aws")), "-m", "local_aws"]
        command += ["--root", str(self.config.aws_root), "--port", str(self.config.aws_port)]
        record = self._run("local_aws", command, base_environment(self.config))
        self._wait(record, f"{self.config.aws_endpoint}/_local/status", 30)
        return record

    def start_airflow(self, component: str) -> ProcessRecord:
        """Start one of Airflow's processes."""
        command = component_command(self.config, component)
        return self._run(component, command, airflow_environment(self.config))

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> ProcessRecord:
        log = self.config.logs / f"{name}.log"
        return self.book.start(name, command, environment, log, self.config.state)

    def _wait(self, record: ProcessRecord, url: str, limit_seconds: float) -> None:
        deadline = time.monotonic() + limit_seconds
        while time.monotonic() < deadline:
            if not record.alive:
                raise ProcessFailed(f"{record.name} ended at start", where=record.log, got=_tail(record.log))
            try:
                if httpx.get(url, timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise ProcessFailed(
            f"{record.name} does not answer",
            where=url,
            expected=f"an answer in {limit_seconds:.0f} s",
            got=_tail(record.log),
            remedy=f"read {record.log}",
        )

    def _wait_for_components(self, records: list[ProcessRecord], limit_seconds: float) -> None:
        """Wait until Airflow's health page reports scheduler, triggerer and DAG processor as healthy."""
        deadline = time.monotonic() + limit_seconds
        health: dict[str, dict[str, str | None]] = {}
        while time.monotonic() < deadline:
            for record in records:
                if not record.alive:
                    raise ProcessFailed(
                        f"{record.name} ended at start", where=record.log, got=_tail(record.log)
                    )
            try:
                health = httpx.get(f"{self.config.airflow_url}/api/v2/monitor/health", timeout=10).json()
            except httpx.HTTPError:
                health = {}
            if health and all(part.get("status") == "healthy" for part in health.values()):
                return
            time.sleep(0.3)
        unhealthy = sorted(name for name, part in health.items() if part.get("status") != "healthy")
        raise ProcessFailed(
            f"Airflow did not become healthy within {limit_seconds:.0f} s ({', '.join(unhealthy)})",
            remedy=f"read the logs in {self.config.logs}",
        )


def _tail(log: str, characters: int = 1500) -> str:
    path = Path(log)
    return path.read_text(errors="replace")[-characters:] if path.exists() else ""
