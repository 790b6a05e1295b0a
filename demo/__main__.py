"""Run the demo: ``python -m demo [--data FOLDER]``, called by `make demo`.

The demo gathers real text, starts the local system, triggers corpus_refresh and follows the assets through
training, evaluation and deployment to a served model. At the end it stops every process that it started.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
from rich.console import Console

from demo.airflow_api import AirflowApi
from demo.follow import DAGS
from demo.memory import MemoryWatch
from demo.outcome import Store
from demo.pipeline import Pipeline
from demo.progress import Display, fail
from demo.report import print_report
from demo.shards import Shards, choose_shards, upload
from demo.summary import Summary
from include.contracts.errors import NexusError
from include.contracts.records import canonical_json
from local_aws.interruption import INTERRUPTED, interruptible
from local_stack.config import StackConfig
from local_stack.provision import client, object_store
from local_stack.stack import Announce, Stack

PHASES = ("text", "start", *DAGS)


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if a model is served, 1 after an error or a refusal of the gate, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="folder of shards to use instead of this machine's own text"
    )
    parser.add_argument(
        "--interruptions", type=int, default=1, help="number of spot interruptions (default 1)"
    )
    parser.add_argument("--output", type=Path, help="folder of summary.json (default build/demo)")
    arguments = parser.parse_args(argv)
    console = Console()
    try:
        with interruptible():
            return _show(arguments, console)
    except KeyboardInterrupt:
        fail("interrupted; every process of the demo was stopped. `make demo` reuses complete corpus stages.")
        return INTERRUPTED
    except (NexusError, httpx.HTTPError) as error:
        fail(str(error))
        return 1


def _show(arguments: argparse.Namespace, console: Console) -> int:
    config = StackConfig.from_environment()
    output = arguments.output or config.repository / "build" / "demo"
    output.mkdir(parents=True, exist_ok=True)
    written = output / "summary.json"
    written.unlink(missing_ok=True)  # figures of an earlier demo must not be taken for this one's
    summary = Demo(config, console).run(arguments.data, arguments.interruptions)
    written.write_bytes(canonical_json(summary))
    print_report(summary, written, config.airflow_url, console)
    if summary.deployment is None:
        fail(f"the gate's verdict is {summary.gate.verdict}; nothing was deployed")
        return 1
    return 0


class Demo:
    """One run of the demo on the local system."""

    def __init__(self, config: StackConfig, console: Console) -> None:
        self._config = config
        self._stack = Stack(config)
        self._console = console
        self._store = Store(object_store(config), client(config, "sagemaker"))

    def run(self, data: Path | None, interruptions: int) -> Summary:
        """Run every phase of the progress display, and return the summary with times and peak memory."""
        started = time.monotonic()
        with (
            Display(PHASES, self._console) as display,
            MemoryWatch(self._pids) as memory,
            ThreadPoolExecutor(1) as background,
        ):
            text = background.submit(self._text, display, data)
            if data is not None:
                text.result()  # report an unusable folder before anything is started
            display.begin("start")
            with self._system(lambda note: display.note("start", note)):
                display.end("start", f"Airflow on {self._config.airflow_url}")
                shards = text.result()
                upload(object_store(self._config), shards)
                with self._interrupting(interruptions):
                    api = AirflowApi(self._config.airflow_url)
                    jobs = self._config.aws_root / ".state"
                    summary = Pipeline(api, self._store, display, jobs).run(shards)
        seconds = display.seconds() | {"total": round(time.monotonic() - started, 1)}
        return replace(summary, seconds=seconds, peak_memory_bytes=memory.peak_bytes)

    def _text(self, display: Display, data: Path | None) -> Shards:
        display.begin("text", "gathering" if data is None else f"reading {data}")
        shards = choose_shards(self._config, data)
        display.end("text", str(shards))
        return shards

    @contextmanager
    def _system(self, announce: Announce) -> Iterator[None]:
        """Start and stop the local system, or use the one that `make up` started and leave it running."""
        mine = not all(self._stack.status().values())
        try:
            self._stack.up(announce)
            yield
        finally:
            if mine:
                self._stack.down(lambda _: None)

    @contextmanager
    def _interrupting(self, times: int) -> Iterator[None]:
        """Interrupt spot jobs ``times`` times, each time after a checkpoint, for the duration of a block."""
        control = f"{self._config.aws_endpoint}/_local/sagemaker/interrupt_policy"
        httpx.post(control, json={"times": times, "after_first_checkpoint": True}).raise_for_status()
        try:
            yield
        finally:
            with suppress(httpx.HTTPError):  # a system that was stopped has no jobs to interrupt
                httpx.post(control, json={"times": 0})

    def _pids(self) -> list[int]:
        return [os.getpid(), *(record.pid for record in self._stack.book.records())]


if __name__ == "__main__":
    sys.exit(main())
