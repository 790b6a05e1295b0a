"""``python -m demo [--data FOLDER]``: what `make demo` calls.

Gathers real text, starts the local system, triggers corpus_refresh, and follows the assets through
training, evaluation and deployment to a served model. Ends every process that it started.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console

from demo.airflow_api import AirflowApi
from demo.follow import DAGS, FinishedRun, Follower, timings
from demo.memory import MemoryWatch
from demo.outcome import (
    Store,
    corpus_summary,
    deployment_summary,
    gate_summary,
    run_of,
    training_summary,
)
from demo.progress import Display, fail
from demo.report import print_report
from demo.shards import Shards, choose_shards, upload
from demo.summary import Summary
from include.contracts.errors import NexusError
from include.contracts.manifests import DeploymentManifest
from include.contracts.records import canonical_json
from include.contracts.storage import S3Uri
from local_stack.config import StackConfig
from local_stack.provision import client
from local_stack.stack import Announce, Stack

PHASES = ("text", "start", *DAGS)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the model is served, 1 with a readable error, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of shards instead of this machine's own text")
    parser.add_argument("--interruptions", type=int, default=1, help="spot interruptions (default 1)")
    parser.add_argument("--output", type=Path, help="folder of summary.json (default build/demo)")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        config = StackConfig.from_environment()
        summary = Demo(config, console).run(arguments.data, arguments.interruptions)
        output = arguments.output or config.repository / "build" / "demo"
        output.mkdir(parents=True, exist_ok=True)
        written = output / "summary.json"
        written.write_bytes(canonical_json(summary))
        print_report(summary, written, config.airflow_url, console)
    except KeyboardInterrupt:
        fail("interrupted; all that the demo started is ended. `make demo` reuses whole corpus stages.")
        return 130
    except (NexusError, httpx.HTTPError) as error:
        fail(str(error))
        return 1
    return 0


class Demo:
    """One run of the demo on the local system."""

    def __init__(self, config: StackConfig, console: Console) -> None:
        self._config = config
        self._stack = Stack(config)
        self._console = console
        self._phase_began = time.time()
        self._store = Store(client(config, "s3"), client(config, "sagemaker"))

    def run(self, data: Path | None, interruptions: int) -> Summary:
        """From text to a served model; the phases are those of the progress display."""
        started = time.monotonic()
        with (
            Display(PHASES, self._console) as display,
            MemoryWatch(self._pids) as memory,
            ThreadPoolExecutor(1) as beside,
        ):
            text = beside.submit(self._text, display, data)
            if data is not None:
                text.result()  # a folder that cannot be used is said before anything is started
            display.begin("start")
            with self._system(lambda note: display.note("start", note)):
                display.end("start", f"Airflow on {self._config.airflow_url}")
                shards = text.result()
                upload(client(self._config, "s3"), shards)
                with self._interrupting(interruptions):
                    summary = self._pipeline(display, shards)
        seconds = display.seconds() | {"total": round(time.monotonic() - started, 1)}
        return replace(summary, seconds=seconds, peak_memory_bytes=memory.peak_bytes)

    def _text(self, display: Display, data: Path | None) -> Shards:
        display.begin("text", "gathering" if data is None else f"reading {data}")
        shards = choose_shards(self._config, data)
        display.end("text", str(shards))
        return shards

    def _pipeline(self, display: Display, shards: Shards) -> Summary:
        api = AirflowApi(self._config.airflow_url)
        self._wait_for_dags(api)
        follower = Follower(api, display, self._running_logs)
        runs: dict[str, FinishedRun] = {}
        extras: dict[str, dict[str, str]] = {}
        since = datetime.now(UTC)
        before: FinishedRun | None = None
        for phase, dag_id in DAGS.items():
            display.begin(phase)
            self._phase_began = time.time()
            if before is None:
                conf = {"source_uri": shards.source_uri, "continue_downstream": True}
                run_id = api.trigger(dag_id, conf)
            else:
                run_id = follower.triggered_by_asset(phase, before, since)
            with _failed_when_interrupted(api, dag_id, run_id):
                before = runs[phase] = follower.finish(phase, run_id)
            extras[phase] = api.asset_extra(dag_id, run_id)
            display.end(phase, "done")
        run = run_of(extras["training"]["manifest_uri"])
        deployed = S3Uri.parse(
            str(api.xcom(DAGS["deployment"], runs["deployment"].run_id, "record_deployment"))
        )
        reused = self._reused(api, runs["corpus"])
        return Summary(
            corpus=corpus_summary(self._store, extras["corpus"]["manifest_uri"], reused),
            training=training_summary(self._store, run),
            gate=gate_summary(self._store, run),
            deployment=deployment_summary(self._store.read(DeploymentManifest, deployed)),
            tasks=tuple(timings(api, list(runs.values()))),
            seconds={},
            peak_memory_bytes=0,
        )

    def _reused(self, api: AirflowApi, run: FinishedRun) -> bool:
        """Whether the cluster was never started, because the corpus version existed."""
        states = {task["task_id"]: task["state"] for task in api.task_instances(run.dag_id, run.run_id)}
        return states.get("clean") == "skipped"

    def _wait_for_dags(self, api: AirflowApi, limit_seconds: float = 60) -> None:
        deadline = time.monotonic() + limit_seconds
        while time.monotonic() < deadline:
            if errors := api.import_errors():
                raise NexusError("a DAG file cannot be parsed", where=errors[0])
            if set(DAGS.values()) <= api.dag_ids():
                return
            time.sleep(0.5)
        missing = ", ".join(sorted(set(DAGS.values()) - api.dag_ids()))
        raise NexusError(f"Airflow did not find {missing} in {limit_seconds:.0f} s")

    @contextmanager
    def _system(self, announce: Announce) -> Iterator[None]:
        """The local system: started and ended here, or used as it is when `make up` started it."""
        mine = not all(self._stack.status().values())
        try:
            self._stack.up(announce)
            yield
        finally:
            if mine:
                self._stack.down(lambda _: None)

    @contextmanager
    def _interrupting(self, times: int) -> Iterator[None]:
        """Spot jobs lose their instance ``times`` times, each after a checkpoint; afterwards none does."""
        control = f"{self._config.aws_endpoint}/_local/sagemaker/interrupt_policy"
        httpx.post(control, json={"times": times, "after_first_checkpoint": True}).raise_for_status()
        try:
            yield
        finally:
            with suppress(httpx.HTTPError):  # a system that was ended has no jobs to interrupt
                httpx.post(control, json={"times": 0})

    def _pids(self) -> list[int]:
        return [os.getpid(), *(record.pid for record in self._stack.book.records())]

    def _running_logs(self) -> Iterator[Path]:
        """Output of jobs that wrote in this phase: an EMR step's stdout, a container's output."""
        for name in ("stdout", "output.log"):
            for log in (self._config.aws_root / ".state").rglob(name):
                if log.stat().st_mtime > self._phase_began:
                    yield log


@contextmanager
def _failed_when_interrupted(api: AirflowApi, dag_id: str, run_id: str) -> Iterator[None]:
    """Otherwise Airflow would resume the run beside the next demo's."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(httpx.HTTPError):
            api.fail_run(dag_id, run_id)
        raise


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
