"""Run the four DAGs repeatedly on the running local system: ``python -m demo.soak [--minutes 30]``.

Start the system with `make up` first. The command prints a line per finished run and, at the end, one JSON
line: runs by state, task instances that never reached a terminal state, and the number of log lines that
report a locked database.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from demo.airflow_api import TERMINAL_RUN_STATES, AirflowApi
from demo.follow import DAGS
from demo.shards import choose_shards, upload
from local_stack.config import StackConfig
from local_stack.provision import object_store

_TERMINAL_TASK_STATES = {"success", "failed", "skipped", "upstream_failed", "removed"}
_LOCK_MESSAGES = ("database is locked", "OperationalError")
_DRAIN_LIMIT_SECONDS = 600


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every run succeeded, no task was lost and no log reports a locked database."""
    parser = argparse.ArgumentParser(prog="demo.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--every-seconds", type=float, default=170, help="seconds between two triggers of corpus_refresh"
    )
    arguments = parser.parse_args(argv)
    config = StackConfig.from_environment()
    api = AirflowApi(config.airflow_url)
    shards = choose_shards(config, None)
    upload(object_store(config), shards)
    source_uri = shards.source_uri
    since, started = datetime.now(UTC), time.monotonic()
    reported: set[tuple[str, str]] = set()
    next_trigger = started
    while (now := time.monotonic()) < started + arguments.minutes * 60:
        if now >= next_trigger:
            api.trigger(DAGS["corpus"], {"source_uri": source_uri, "continue_downstream": True})
            next_trigger += arguments.every_seconds
        _report_finished(api, since, started, reported)
        time.sleep(2)
    drained = _drain(api, since, started, reported)
    states = Counter(state for _, _, state in _runs(api, since))
    tasks = _tasks(api, since)
    lost = [task for task, state in tasks if state not in _TERMINAL_TASK_STATES]
    locks = _lock_messages(config.logs)
    figures = {"runs": dict(states), "tasks": len(tasks), "lost_tasks": lost, "locks": locks}
    print(json.dumps(figures | {"minutes": arguments.minutes, "drained": drained}))
    healthy = set(states) == {"success"} and not lost and not locks
    return 0 if healthy and drained else 1


def _runs(api: AirflowApi, since: datetime) -> list[tuple[str, str, str]]:
    return [
        (dag_id, str(run["dag_run_id"]), str(run["state"]))
        for dag_id in DAGS.values()
        for run in api.runs_since(dag_id, since)
    ]


def _report_finished(
    api: AirflowApi, since: datetime, started: float, reported: set[tuple[str, str]]
) -> None:
    for dag_id, run_id, state in _runs(api, since):
        if state in TERMINAL_RUN_STATES and (dag_id, run_id) not in reported:
            reported.add((dag_id, run_id))
            print(f"{time.monotonic() - started:6.0f} s  {dag_id:18} {state:8} {run_id}", flush=True)


def _drain(api: AirflowApi, since: datetime, started: float, reported: set[tuple[str, str]]) -> bool:
    """Wait until no run is open and no asset starts another."""
    deadline = time.monotonic() + _DRAIN_LIMIT_SECONDS
    quiet_since = time.monotonic()
    while time.monotonic() < deadline:
        _report_finished(api, since, started, reported)
        if any(state not in TERMINAL_RUN_STATES for _, _, state in _runs(api, since)):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > 15:
            return True
        time.sleep(2)
    return False


def _tasks(api: AirflowApi, since: datetime) -> list[tuple[str, str]]:
    return [
        (f"{task['dag_id']}.{task['task_id']}", str(task["state"]))
        for dag_id, run_id, _ in _runs(api, since)
        for task in api.task_instances(dag_id, run_id)
    ]


def _lock_messages(logs: Path) -> int:
    return sum(
        any(message in line for message in _LOCK_MESSAGES)
        for log in logs.glob("*.log")
        for line in log.read_text(errors="replace").splitlines()
    )


if __name__ == "__main__":
    raise SystemExit(main())
