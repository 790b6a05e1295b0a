"""The smoke test after a rollout: an answer, by the very model that was deployed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from include.aws.smoke import EndpointFailed
from nexus_airflow.steps.deployment import smoke_test

PARAMS = {"smoke_prompt": "def", "smoke_tokens": 4}
ANSWERS: dict[str, Any] = {}


class _Endpoint(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send({"data": [{"id": "nexus", "nexus": {"manifest_sha256": ANSWERS["sha256"]}}]})

    def do_POST(self) -> None:
        self._send({"choices": [{"text": ANSWERS["text"]}]})

    def _send(self, body: dict[str, Any]) -> None:
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
    return smoke_test(exported, {"endpoint": endpoint}, params=PARAMS)


def test_the_deployed_model_answers(endpoint: str) -> None:
    assert smoke(endpoint, "a" * 64, "ault")["text"] == "ault"


def test_another_model_behind_the_endpoint_is_an_error(endpoint: str) -> None:
    with pytest.raises(EndpointFailed, match=f"another model.*{'b' * 64}"):
        smoke(endpoint, "b" * 64, "ault")


def test_an_empty_completion_is_an_error(endpoint: str) -> None:
    with pytest.raises(EndpointFailed, match="empty completion"):
        smoke(endpoint, "a" * 64, "")
