"""The answers of every route in every phase, and the status and form of every error."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from serving.app import ServerPhase, ServerState, make_app
from serving.generator import GenerationFailed, Overloaded
from serving.protocol import BadRequest

BODY = {"model": "m", "prompt": "x"}


class Failing:
    """Completions that fail with the given error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def text(self, body: Any) -> Any:
        raise self._error

    chat = text


class Server:
    """An application without a server, and its state."""

    def __init__(self, phase: ServerPhase = ServerPhase.READY, error: Exception | None = None) -> None:
        self.state = ServerState("m", max_body_bytes=100, phase=phase)
        self.state.completions = cast(Any, Failing(error or ValueError("unexpected")))
        self.state.loaded_at = 5

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(make_app(self.state), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(ask())


@pytest.mark.parametrize(
    ("phase", "healthy", "ready"),
    [
        (ServerPhase.LOADING, 200, 503),
        (ServerPhase.READY, 200, 200),
        (ServerPhase.DRAINING, 200, 503),
        (ServerPhase.CLOSED, 200, 503),
        (ServerPhase.FAILED, 503, 503),
    ],
)
def test_health_and_readiness_follow_the_phase(phase: ServerPhase, healthy: int, ready: int) -> None:
    server = Server(phase)
    answers = [server.call("GET", path) for path in ("/healthz", "/readyz")]
    assert [answer.status_code for answer in answers] == [healthy, ready]
    assert {answer.text for answer in answers} == {phase.value}


def test_the_address_of_the_server_names_its_routes() -> None:
    answer = Server(ServerPhase.LOADING).call("GET", "/")
    assert answer.status_code == 200
    assert answer.json()["model"] == "m"
    assert {"GET /", "GET /v1/models", "POST /v1/completions"} <= set(answer.json()["routes"])


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("phase", "serves"),
    [
        (ServerPhase.LOADING, False),
        (ServerPhase.READY, True),
        (ServerPhase.DRAINING, True),
        (ServerPhase.CLOSED, False),
        (ServerPhase.FAILED, False),
    ],
)
def test_requests_are_served_when_ready_and_while_draining(
    phase: ServerPhase, serves: bool, path: str
) -> None:
    body = (
        BODY if path == "/v1/completions" else {"model": "m", "messages": [{"role": "user", "content": ""}]}
    )
    answer = Server(phase, Overloaded("all slots are taken")).call("POST", path, json=body)
    assert answer.status_code == (429 if serves else 503)
    assert answer.json()["error"]["code"] == ("overloaded" if serves else "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (answer.headers.get("connection") == "close") is (
        phase in (ServerPhase.DRAINING, ServerPhase.CLOSED)
    )


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (BadRequest("no", param="n", code="invalid_value"), 400, "invalid_request_error", "invalid_value"),
        (BadRequest("no", status=404), 404, "invalid_request_error", None),
        (Overloaded("no"), 429, "rate_limit_error", "overloaded"),
        (GenerationFailed("no"), 500, "server_error", "generation_failed"),
        (ValueError("a secret"), 500, "server_error", None),
    ],
)
def test_every_error_has_its_status_and_openais_form(
    error: Exception, status: int, kind: str, code: str | None
) -> None:
    answer = Server(error=error).call("POST", "/v1/completions", json=BODY)
    found = answer.json()["error"]
    assert (answer.status_code, found["type"], found["code"]) == (status, kind, code)
    assert set(found) == {"message", "type", "param", "code"}
    assert "secret" not in found["message"]


def test_an_unknown_route_or_method_has_the_form_of_an_error_too() -> None:
    assert Server().call("GET", "/v2").json()["error"]["type"] == "invalid_request_error"
    wrong = Server().call("GET", "/v1/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(("size", "status"), [(100, 400), (101, 413)])
def test_a_body_of_exactly_the_limit_is_read(size: int, status: int) -> None:
    answer = Server().call("POST", "/v1/completions", content=b"x" * size)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == ("request_too_large" if status == 413 else "invalid_json")


def test_the_model_is_found_by_its_name_alone() -> None:
    server = Server()
    server.state.manifest = cast(
        Any, SimpleNamespace(run="r", step=7, parameters=9, context_length=20, format="openvino")
    )
    server.state.manifest_sha256 = "abc"
    card = server.call("GET", "/v1/models/m").json()
    assert server.call("GET", "/v1/models").json() == {"object": "list", "data": [card]}
    assert card == {
        "id": "m",
        "object": "model",
        "created": 5,
        "owned_by": "nexus-llm",
        "nexus": {
            "manifest_sha256": "abc", "run": "r", "step": 7, "parameters": 9, "context_length": 20,
        },
    }  # fmt: skip
    missing = server.call("GET", "/v1/models/other")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_the_metrics_count_answers_by_route_and_status() -> None:
    server = Server(error=Overloaded("no"))
    server.state.generator = cast(
        Any, SimpleNamespace(in_flight=1, slots=4, prompt_tokens=10, generated_tokens=20)
    )
    for _ in range(2):
        server.call("POST", "/v1/completions", json=BODY)
    server.call("GET", "/v1/models/m")
    server.call("GET", "/nowhere")
    answer = server.call("GET", "/metrics")
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'nexus_http_requests_total{route="/v1/completions",status="429"} 2' in lines
    assert 'nexus_http_requests_total{route="/v1/models/{name:path}",status="200"} 1' in lines
    assert 'nexus_http_requests_total{route="other",status="404"} 1' in lines
    for line in (
        "nexus_generations_in_flight 1",
        "nexus_generation_slots 4",
        "nexus_prompt_tokens_total 10",
        "nexus_generated_tokens_total 20",
    ):
        assert line in lines
    assert "# TYPE nexus_generations_in_flight gauge" in lines
    assert "# TYPE nexus_prompt_tokens_total counter" in lines
    assert server.state.open_requests == 0
    assert server.state.quiet.is_set()
