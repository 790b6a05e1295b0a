"""The client of Airflow's REST API sends what Airflow expects and reads what Airflow answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from demo import airflow_api
from demo.airflow_api import AirflowApi

Handler = Callable[[httpx.Request], httpx.Response]
RUNS = "/api/v2/dags/corpus_refresh/dagRuns"
LOG = f"{RUNS}/r1/taskInstances/clean/logs/2"


class Airflow:
    """Answers by path. A list of answers is given one by one, the last of them for good."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {"/auth/token": [(200, {"access_token": "key"})]}
        self.requests: list[httpx.Request] = []

    def answer(self, path: str, *answers: Any) -> None:
        self.answers[path] = [entry if isinstance(entry, tuple) else (200, entry) for entry in answers]

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self.answers.get(request.url.path, [(404, {})])
        code, content = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(code, json=content)

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    fake = Airflow()
    monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: httpx.MockTransport(fake.handle))
    return fake


@pytest.fixture
def api(airflow: Airflow) -> AirflowApi:
    return AirflowApi("http://airflow")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A clock that only sleeping moves."""
    fake = SimpleNamespace(now=100.0)

    def sleep(seconds: float) -> None:
        fake.now += seconds

    monkeypatch.setattr(airflow_api, "time", SimpleNamespace(monotonic=lambda: fake.now, sleep=sleep))
    yield fake


def test_every_call_carries_the_token(airflow: Airflow, api: AirflowApi) -> None:
    airflow.answer("/api/v2/dags", {"dags": [{"dag_id": "a"}, {"dag_id": "b"}]})
    assert api.dag_ids() == {"a", "b"}
    assert airflow.last.headers["Authorization"] == "Bearer key"


def test_an_import_error_is_shown_by_file_and_last_line(airflow: Airflow, api: AirflowApi) -> None:
    trace = "Traceback:\n  File\nValueError: no\n"
    airflow.answer("/api/v2/importErrors", {"import_errors": [{"filename": "d.py", "stack_trace": trace}]})
    assert api.import_errors() == ["d.py: ValueError: no"]


def test_a_run_is_triggered_with_its_params(airflow: Airflow, api: AirflowApi) -> None:
    airflow.answer(RUNS, {"dag_run_id": "manual__7"})
    assert api.trigger("corpus_refresh", {"source_uri": "s3://raw/x/"}) == "manual__7"
    assert airflow.last.method == "POST"
    assert json.loads(airflow.last.content) == {"logical_date": None, "conf": {"source_uri": "s3://raw/x/"}}


@pytest.mark.parametrize("call", ["trigger", "fail_run", "xcom"])
def test_a_refused_call_is_an_error(airflow: Airflow, api: AirflowApi, call: str) -> None:
    airflow.answer(RUNS, (409, {}))
    airflow.answer(f"{RUNS}/r1", (409, {}))
    airflow.answer(f"{RUNS}/r1/taskInstances/plan/xcomEntries/return_value", (403, {}))
    arguments = {"trigger": ({},), "fail_run": ("r1",), "xcom": ("r1", "plan")}[call]
    with pytest.raises(httpx.HTTPStatusError):
        getattr(api, call)("corpus_refresh", *arguments)


def test_a_run_is_marked_as_failed(airflow: Airflow, api: AirflowApi) -> None:
    airflow.answer(f"{RUNS}/r1", {"state": "failed"})
    api.fail_run("corpus_refresh", "r1")
    assert airflow.last.method == "PATCH"
    assert json.loads(airflow.last.content) == {"state": "failed"}


def test_runs_since_a_time_include_that_time_and_are_oldest_first(airflow: Airflow, api: AirflowApi) -> None:
    times = ["12:00:02", "12:00:01", "12:00:00"]
    runs = [{"dag_run_id": time, "queued_at": f"2026-11-01T{time}+00:00"} for time in times]
    airflow.answer(RUNS, {"dag_runs": runs})
    found = api.runs_since("corpus_refresh", datetime(2026, 11, 1, 12, 0, 1, tzinfo=UTC))
    assert [run["dag_run_id"] for run in found] == ["12:00:01", "12:00:02"]
    assert airflow.last.url.params["order_by"] == "-id"


def test_the_runs_whose_events_triggered_a_run_are_named(airflow: Airflow, api: AirflowApi) -> None:
    airflow.answer(f"{RUNS}/r1/upstreamAssetEvents", {"asset_events": [{"source_run_id": "r0"}]})
    assert api.source_runs("corpus_refresh", "r1") == {"r0"}


def test_a_missing_xcom_is_none_and_another_is_its_value(airflow: Airflow, api: AirflowApi) -> None:
    assert api.xcom("corpus_refresh", "r1", "plan") is None
    airflow.answer(f"{RUNS}/r1/taskInstances/plan/xcomEntries/uri", {"value": "s3://a/b"})
    assert api.xcom("corpus_refresh", "r1", "plan", "uri") == "s3://a/b"
    assert airflow.last.url.params["deserialize"] == "true"


def test_a_failure_is_the_last_exception_of_the_log(airflow: Airflow, api: AirflowApi) -> None:
    events = [
        "a line of text",
        {"event": "first", "error_detail": [{"exc_value": "an earlier error"}]},
        {"event": "second", "error_detail": [{"exc_value": "the decisive one"}, {"exc_value": "its cause"}]},
        {"event": "end", "error_detail": []},
    ]
    airflow.answer(LOG, {"content": events})
    assert api.failure("corpus_refresh", "r1", "clean", 2) == "the decisive one"
    airflow.answer(LOG, {"content": events[:1]})
    assert api.failure("corpus_refresh", "r1", "clean", 2) == ""


def test_the_extra_of_the_newest_event_counts(airflow: Airflow, api: AirflowApi) -> None:
    airflow.answer("/api/v2/assets/events", {"asset_events": [{"extra": {"n": 2}}, {"extra": {"n": 1}}]})
    assert api.asset_extra("corpus_refresh", "r1") == {"n": "2"}
    assert airflow.last.url.params["order_by"] == "-timestamp"
    airflow.answer("/api/v2/assets/events", {"asset_events": []})
    assert api.asset_extra("corpus_refresh", "r1") == {}


def test_a_server_error_is_waited_out(airflow: Airflow, api: AirflowApi, clock: SimpleNamespace) -> None:
    airflow.answer(f"{RUNS}/r1", (500, {}), (503, {}), {"state": "running"})
    assert api.run_state("corpus_refresh", "r1") == "running"
    assert clock.now == 101.0


def test_a_server_error_that_stays_is_an_error_after_half_a_minute(
    airflow: Airflow, api: AirflowApi, clock: SimpleNamespace
) -> None:
    airflow.answer(f"{RUNS}/r1", (500, {}))
    with pytest.raises(httpx.HTTPStatusError):
        api.run_state("corpus_refresh", "r1")
    assert 130.0 < clock.now < 132.0


def test_a_clients_error_is_not_repeated(airflow: Airflow, api: AirflowApi, clock: SimpleNamespace) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        api.run_state("corpus_refresh", "unknown")
    assert clock.now == 100.0
