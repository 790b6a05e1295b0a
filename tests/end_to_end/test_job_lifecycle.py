"""Retry, clear, mark-failed and a lost worker, through a real Airflow: never two jobs, none left running.

Each is tried with the task deferred, on a worker, and in between (waiting for a retry, or deferred with
no triggerer alive).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.end_to_end.lifecycle_system import DagRun, System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("lifecycle")) as running:
        yield running


@contextmanager
def no_triggerer(system: System) -> Iterator[None]:
    system.stack.end("triggerer")
    try:
        yield
    finally:
        system.stack.start_airflow("triggerer")


PLACES = [("deferred", "deferred"), ("on_worker", "running")]


@pytest.mark.parametrize(("dag_id", "state"), PLACES)
def test_a_job_that_completes_makes_its_task_succeed(system: System, dag_id: str, state: str) -> None:
    run = system.start(dag_id)
    run.reaches(state)
    run.finish_job()
    run.reaches("success")
    assert run.status(1) == "Completed"
    assert run.status(2) == "absent"


@pytest.mark.parametrize(("dag_id", "state"), PLACES)
def test_mark_failed_stops_the_job(system: System, dag_id: str, state: str) -> None:
    run = system.start(dag_id)
    run.reaches(state)
    run.mark("failed")
    run.job_reaches(1, "Stopped")
    run.reaches("failed")
    run.none_runs()


@pytest.mark.parametrize(("dag_id", "state"), PLACES)
def test_clear_stops_the_job_and_starts_the_next_generation(system: System, dag_id: str, state: str) -> None:
    run = system.start(dag_id)
    run.reaches(state)
    run.clear()
    run.job_reaches(2, "InProgress")
    assert run.status(1) == "Stopped"
    run.finish_job()
    run.reaches("success", tries=2)
    run.never_two_at_once()
    assert run.status(3) == "absent"


@pytest.mark.parametrize("ends", [DagRun.lose_worker, DagRun.shut_worker_down])
def test_retry_after_a_worker_was_lost_or_shut_down_reattaches_to_the_running_job(
    system: System, ends: Callable[[DagRun], None]
) -> None:
    run = system.start("on_worker")
    run.reaches("running")
    ends(run)
    run.reaches("running", tries=2)
    assert run.status(1) == "InProgress"
    run.finish_job()
    run.reaches("success", tries=2)
    assert run.status(1) == "Completed"
    assert run.status(2) == "absent"


def test_a_retry_reports_a_job_that_a_person_cancelled_while_its_worker_was_lost(system: System) -> None:
    run = system.start("on_worker")
    run.reaches("running")
    run.lose_worker()
    run.cancel_job(1)
    run.job_reaches(1, "Stopped")
    run.reaches("failed", tries=2)
    assert run.status(2) == "absent"
    run.clear()
    run.job_reaches(2, "InProgress")
    run.finish_job()
    run.reaches("success", tries=3)


@pytest.mark.parametrize("marked", ["failed", "success"])
@pytest.mark.parametrize(("dag_id", "state"), PLACES)
def test_marking_a_whole_run_stops_its_job(system: System, dag_id: str, state: str, marked: str) -> None:
    run = system.start(dag_id)
    run.reaches(state)
    run.mark_run(marked)
    run.job_reaches(1, "Stopped")


def test_mark_failed_between_two_tries_stops_the_job(system: System) -> None:
    run = system.start("waiting_for_retry")
    run.reaches("running")
    run.lose_worker()
    run.reaches("up_for_retry")
    assert run.status(1) == "InProgress"
    run.mark("failed")
    run.job_reaches(1, "Stopped")


def test_clear_between_two_tries_starts_the_next_generation(system: System) -> None:
    run = system.start("waiting_for_retry")
    run.reaches("running")
    run.lose_worker()
    run.reaches("up_for_retry")
    run.clear()
    run.job_reaches(2, "InProgress")
    assert run.status(1) == "Stopped"
    run.finish_job()
    run.reaches("success", tries=2)
    run.never_two_at_once()


def test_mark_failed_while_no_triggerer_is_alive_stops_the_job(system: System) -> None:
    run = system.start("deferred")
    run.reaches("deferred")
    with no_triggerer(system):
        run.mark("failed")
        run.job_reaches(1, "Stopped")


def test_clear_while_no_triggerer_is_alive_leaves_one_job(system: System) -> None:
    run = system.start("deferred")
    run.reaches("deferred")
    with no_triggerer(system):
        run.clear()
        run.job_reaches(1, "Stopped")
    run.job_reaches(2, "InProgress")
    run.finish_job()
    run.reaches("success", tries=2)
    run.never_two_at_once()
    assert run.status(3) == "absent"


def test_clearing_a_completed_task_reuses_its_verified_output(system: System) -> None:
    run = system.start("deferred")
    run.finish_job()
    run.ends()
    run.clear()
    run.reaches("success", tries=2)
    assert run.status(2) == "absent"


def test_clearing_a_completed_task_with_force_runs_the_next_generation(system: System) -> None:
    run = system.start("deferred", force=True)
    run.finish_job()
    run.ends()
    run.clear()
    run.reaches("success", tries=2)
    assert run.status(2) == "Completed"
    run.never_two_at_once()


def test_writes_of_several_clients_at_once_are_all_answered(system: System) -> None:
    """SQLite has one write lock, and a running task's heartbeats take it too."""
    run = system.start("on_worker")
    run.reaches("running")
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda _: run.note("seen"), range(40)))
    run.finish_job()
    run.ends()
