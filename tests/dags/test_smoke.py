"""The smoke test after a rollout: an answer, by the very model that was deployed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.aws.rollouts import RolloutState, RolloutView
from nexus_airflow.tasks import deployment

PLANNED = {"smoke": {"prompt": "def", "tokens": 4}}
ANSWERS: dict[str, Any] = {}
ROLLOUT = {
    "deployment_id": "arn:deployment/2",
    "task_definition": "arn:task/serving:2",
    "previous_task_definition": "arn:task/serving:1",
}
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


class _Service:
    """The rollouts of a service whose newest deployment is of revision ``now``, and where ``ends`` follow."""

    def __init__(self, now: str) -> None:
        self.now = now
        self.started: list[str] = []
        self.ends = [RolloutState.ACTIVE, RolloutState.SUCCESSFUL]

    def target(self) -> str:
        return self.now

    def start(self, _: Any, task_definition: str, *, may_create: bool) -> None:
        assert not may_create
        self.started.append(task_definition)

    def deployment_of(self, task_definition: str, since: datetime) -> str:
        assert (task_definition, since) == ("arn:task/serving:1", BEGAN)
        return "arn:deployment/3"

    def look(self, deployment: str) -> RolloutView:
        if deployment == "arn:deployment/2":
            return RolloutView(RolloutState.SUCCESSFUL, "SUCCESSFUL", "", {"createdAt": BEGAN})
        state = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        return RolloutView(state, state.value.upper(), "tasks failed")


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> _Service:
    service = _Service(ROLLOUT["task_definition"])
    monkeypatch.setattr(deployment, "_rollouts", lambda: service)
    monkeypatch.setattr(deployment, "_SMOKE_PAUSE_SECONDS", 0)
    return service


class _Endpoint(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send(
            ANSWERS.get("models")
            or {"data": [{"id": "nexus", "nexus": {"manifest_sha256": ANSWERS["sha256"]}}]}
        )

    def do_POST(self) -> None:
        self._send({"choices": [{"text": ANSWERS["text"]}]})

    def _send(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def smoke(endpoint: str, sha256: str, text: str) -> dict[str, Any]:
    ANSWERS.update(sha256=sha256, text=text)
    exported = {"manifest_uri": "s3://models/manifest.json", "manifest_sha256": "a" * 64}
    return deployment.smoke_test.function(PLANNED, exported, ROLLOUT | {"endpoint": endpoint})


def test_the_deployed_model_answers(endpoint: str) -> None:
    assert smoke(endpoint, "a" * 64, "ault")["text"] == "ault"


def test_another_model_behind_the_endpoint_is_an_error(endpoint: str) -> None:
    with pytest.raises(AirflowFailException, match=f"another model.*{'b' * 64}"):
        smoke(endpoint, "b" * 64, "ault")


def test_a_revision_without_completions_is_rolled_back(endpoint: str, service: _Service) -> None:
    with pytest.raises(AirflowFailException, match=r"empty completion.*was rolled back to serving:1"):
        smoke(endpoint, "a" * 64, "")
    assert service.started == ["arn:task/serving:1"]


def test_a_rollback_that_fails_or_goes_on_for_long_is_not_said_to_be_complete(
    endpoint: str, service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.ends = [RolloutState.FAILED]
    with pytest.raises(AirflowFailException, match=r"rollback to serving:1 failed \(FAILED\): tasks failed"):
        smoke(endpoint, "a" * 64, "")
    monkeypatch.setattr(deployment, "_ROLLBACK_WAIT_SECONDS", 0)
    service.ends = [RolloutState.ACTIVE]
    with pytest.raises(AirflowFailException, match=r"rollback to serving:1 was started and is still in prog"):
        smoke(endpoint, "a" * 64, "")


def test_a_retry_does_not_start_the_rollback_a_second_time(endpoint: str, service: _Service) -> None:
    service.now = "arn:task/serving:1"
    with pytest.raises(AirflowFailException, match=r"another model.*was rolled back to serving:1"):
        smoke(endpoint, "b" * 64, "ault")
    assert service.started == []


@pytest.mark.parametrize("models", [{"data": ["x"]}, {"error": "no"}, ["x"], {"data": [{"name": "x"}]}])
def test_a_revision_that_answers_as_no_model_does_is_rolled_back(
    endpoint: str, service: _Service, monkeypatch: pytest.MonkeyPatch, models: Any
) -> None:
    monkeypatch.setitem(ANSWERS, "models", models)
    with pytest.raises(AirflowFailException, match=r"no answer of a model.*was rolled back to serving:1"):
        smoke(endpoint, "a" * 64, "ault")
    assert service.started == ["arn:task/serving:1"]


def test_a_revision_that_somebody_else_rolled_out_is_left_alone(endpoint: str, service: _Service) -> None:
    service.now = "arn:task/serving:3"
    with pytest.raises(AirflowFailException, match="nothing was rolled back"):
        smoke(endpoint, "a" * 64, "")
    assert service.started == []


def test_the_first_revision_of_all_serves_on(
    endpoint: str, service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROLLOUT, "previous_task_definition", "")
    with pytest.raises(AirflowFailException, match="no former revision"):
        smoke(endpoint, "a" * 64, "")
    assert service.started == []


def test_a_service_that_was_deleted_meanwhile_is_not_said_to_serve(endpoint: str, service: _Service) -> None:
    service.now = ""
    with pytest.raises(AirflowFailException, match="the service was deleted, so no model is served"):
        smoke(endpoint, "a" * 64, "")
    assert service.started == []
