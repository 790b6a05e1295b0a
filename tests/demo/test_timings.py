from __future__ import annotations

from typing import Any

from demo.timings import task_timings

DOWNSTREAM = {"plan": ["clean", "verify"], "clean": ["verify"], "verify": [], "never": []}


def instance(task: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    times = {"start_date": f"2026-11-01T00:00:{start:02}Z", "end_date": f"2026-11-01T00:00:{end:02}Z"}
    return {"task_id": task, "state": "success", "try_number": 1, **times, **more}


def waits(*instances: dict[str, Any]) -> dict[str, tuple[float, float]]:
    timings = task_timings("dag", "2026-11-01T00:00:01Z", instances, DOWNSTREAM)
    return {timing.task: (timing.queued_seconds, timing.running_seconds) for timing in timings}


def test_a_task_waits_from_the_end_of_the_last_that_it_follows_or_the_runs_start() -> None:
    # of a task that was deferred Airflow's queued_when is that of its return, after its start
    clean = instance("clean", 7, 30, queued_when="2026-11-01T00:00:29Z")
    ran = waits(instance("verify", 32, 33), clean, instance("plan", 3, 5))
    assert ran == {"plan": (2, 2), "clean": (2, 23), "verify": (2, 1)}
    assert list(ran) == ["plan", "clean", "verify"]


def test_a_task_that_did_not_run_has_no_times() -> None:
    assert waits(instance("plan", 3, 5), instance("never", 0, 0, start_date=None)) == {"plan": (2, 2)}


def test_a_task_that_started_before_its_upstream_ended_did_not_wait() -> None:
    # clocks of two workers, or a trigger rule that does not wait for all
    assert waits(instance("plan", 3, 5), instance("clean", 4, 6))["clean"] == (0, 2)
    assert waits(instance("plan", 0, 5))["plan"] == (0, 5)
