"""Progress and warnings on standard output. Progress reads ``progress: <stage> <done>/<total> <unit>``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.5


def report(stage: str, done: int, total: int, unit: str) -> None:
    """Print a line of progress without buffering."""
    print(f"progress: {stage} {done}/{total} {unit}", flush=True)


def warn(message: str) -> None:
    """Print a warning that does not stop the stage."""
    print(f"warning: {message}", flush=True)


def run_tasks(
    spark: SparkSession, stage: str, unit: str, function: Callable[[T], R], items: Sequence[T]
) -> list[R]:
    """Apply ``function`` to each item in its own Spark task, with progress. Results keep the items' order."""
    if not items:
        return []
    context = spark.sparkContext
    with _track(context, stage, len(items), unit):
        results: list[R] = context.parallelize(items, len(items)).map(function).collect()
    return results


@contextlib.contextmanager
def _track(context: Any, stage: str, total: int, unit: str) -> Iterator[None]:
    ended = threading.Event()
    context.setJobGroup(f"{stage} {unit}", f"{stage}: {total} {unit}")

    def watch() -> None:
        tracker, shown = context.statusTracker(), 0
        while not ended.wait(_POLL_SECONDS):
            done = 0
            for job in tracker.getJobIdsForGroup(f"{stage} {unit}"):
                info = tracker.getJobInfo(job)
                for stage_id in info.stageIds if info and info.status == "RUNNING" else ():
                    stage_info = tracker.getStageInfo(stage_id)
                    done += stage_info.numCompletedTasks if stage_info else 0
            if shown < done < total:
                report(stage, done, total, unit)
                shown = done

    report(stage, 0, total, unit)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        context.setJobGroup("", "")
    report(stage, total, total, unit)
