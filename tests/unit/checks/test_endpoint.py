"""One question to a served model: its answer, or what came instead of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from include.checks.endpoint import EndpointFailed, ask
from tests.support.ports import free_port

MODELS = {"data": [{"id": "m", "nexus": {"manifest_sha256": "abc"}}, {"id": "other"}]}
COMPLETION = {"choices": [{"text": "argv):"}], "usage": {"total_tokens": 5}}


class Handler(BaseHTTPRequestHandler):
    """Answers by path, given by each test."""

    answers: dict[str, tuple[int, Any]] = {}
    asked: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer()

    def _answer(self) -> None:
        code, content = self.answers[self.path]
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    Handler.answers = {"/v1/models": (200, MODELS), "/v1/completions": (200, COMPLETION)}
    Handler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_first_model_completes_the_prompt(endpoint: str) -> None:
    found = ask(endpoint, "def main(", 16)
    assert found.pop("seconds") >= 0
    assert found == {
        "model": "m",
        "manifest_sha256": "abc",
        "text": "argv):",
        "usage": {"total_tokens": 5},
    }
    assert Handler.asked == [{"model": "m", "prompt": "def main(", "max_tokens": 16, "temperature": 0}]


def test_a_server_of_another_project_has_no_hash_and_no_usage(endpoint: str) -> None:
    Handler.answers["/v1/models"] = (200, {"data": [{"id": "m"}]})
    Handler.answers["/v1/completions"] = (200, {"choices": [{"text": "x"}]})
    found = ask(endpoint, "p", 1)
    assert (found["manifest_sha256"], found["usage"]) == ("", {})


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("/v1/models", (200, {"data": []}), "no answer of a model"),
        ("/v1/models", (200, []), "no answer of a model"),
        ("/v1/completions", (200, {"choices": []}), "no answer of a model"),
        ("/v1/completions", (200, {"choices": [{"text": None}]}), "an empty completion"),
        ("/v1/completions", (200, {"choices": [{"text": ""}]}), "an empty completion"),
        ("/v1/completions", (503, b"busy"), r"refused.*HTTP 503 b'busy'"),
        ("/v1/models", (404, b"x" * 900), "the endpoint refused"),
        ("/v1/models", (200, b"<html>"), "does not answer"),
    ],
)
def test_anything_but_a_completion_is_an_error(
    endpoint: str, path: str, answer: tuple[int, Any], message: str
) -> None:
    Handler.answers[path] = answer
    with pytest.raises(EndpointFailed, match=message) as failure:
        ask(endpoint, "p", 1)
    assert str(failure.value).count("x" * 500) <= 1
    assert "x" * 501 not in str(failure.value)


def test_an_endpoint_that_nobody_serves_does_not_answer() -> None:
    with pytest.raises(EndpointFailed, match="the endpoint does not answer"):
        ask(f"http://127.0.0.1:{free_port()}", "p", 1, timeout_seconds=2)
