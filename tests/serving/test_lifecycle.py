"""From start to exit: loading, ready, draining; a damaged model never serves."""

from __future__ import annotations

import http.server
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.servers import MODEL, Server
from tests.support.waiting import wait_until

LONG = {"model": MODEL, "prompt": "torch", "max_tokens": 3000, "temperature": 0}
SHORT = {"model": MODEL, "prompt": "x", "max_tokens": 2}


def status(server: Server, path: str) -> int:
    return httpx.get(f"{server.url}{path}").status_code


@pytest.fixture
def held_back(model: Path) -> Iterator[tuple[str, threading.Event]]:
    """An S3 endpoint with the model as ``s3://models/m/`` that answers only when the event is set."""
    gate = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.wait(60)
            content = (model / Path(self.path).name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    endpoint = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=endpoint.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{endpoint.server_port}", gate
    gate.set()
    endpoint.shutdown()
    endpoint.server_close()
    thread.join()


def from_s3(endpoint: str) -> dict[str, str]:
    """Return the server's settings for a model in the bucket of an endpoint."""
    return {
        "MODEL_URI": "s3://models/m/",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_not_ready_while_loading_ready_after_and_not_when_draining(start: Any, held_back: Any) -> None:
    endpoint, gate = held_back
    server = start(**from_s3(endpoint), LAME_DUCK_SECONDS="60")
    assert (status(server, "/healthz"), status(server, "/readyz")) == (200, 503)
    loading = httpx.post(f"{server.url}/v1/completions", json=SHORT)
    assert (loading.status_code, loading.json()["error"]["code"]) == (503, "unavailable")
    assert "retry-after" in loading.headers
    gate.set()
    wait_until(server.ready, what="readyz")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: status(server, "/readyz") == 503, what="draining")
    assert status(server, "/healthz") == 200
    late = httpx.post(f"{server.url}/v1/completions", json=SHORT)
    assert (late.status_code, late.headers["connection"]) == (200, "close")
    server.process.send_signal(signal.SIGTERM)  # no more waiting
    assert server.exit_code() == 0


def test_a_stop_while_loading_is_no_failure_and_leaves_no_folder(
    start: Any, held_back: Any, tmp_path: Path
) -> None:
    endpoint, _ = held_back
    server = start(**from_s3(endpoint), TMPDIR=str(tmp_path))
    assert status(server, "/healthz") == 200
    wait_until(lambda: any(tmp_path.glob("nexus-model-*")), what="the folder of the download")
    server.process.send_signal(signal.SIGTERM)
    assert server.exit_code() == 0
    assert list(tmp_path.glob("nexus-model-*")) == []


def test_a_drain_loses_no_request_in_flight(start: Any) -> None:
    server = start(LAME_DUCK_SECONDS="60")
    wait_until(server.ready, what="readyz")
    client = server.client()
    began = threading.Barrier(9)

    def stream(_: int) -> int:
        last = None
        with client.completions.create(**LONG, stream=True, stream_options={"include_usage": True}) as chunks:
            for number, chunk in enumerate(chunks):
                if number == 0:
                    began.wait(60)
                last = chunk
        return last.usage.completion_tokens if last else 0

    def whole(_: int) -> int:
        return client.completions.create(**LONG).usage.completion_tokens

    with ThreadPoolExecutor(16) as pool:
        wholes = [pool.submit(whole, number) for number in range(8)]
        streams = [pool.submit(stream, number) for number in range(8)]
        began.wait(60)
        wait_until(lambda: server.metric("nexus_generations_in_flight") == 16, what="all in flight")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: status(server, "/readyz") == 503, what="draining")
        assert httpx.post(f"{server.url}/v1/completions", json=SHORT).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: new_work_is_refused(server), what="closed")
        assert [future.result() for future in [*wholes, *streams]] == [LONG["max_tokens"]] * 16
    assert server.exit_code() == 0


def new_work_is_refused(server: Server) -> bool:
    try:
        return httpx.post(f"{server.url}/v1/completions", json=SHORT).status_code == 503
    except httpx.TransportError:
        return True


def test_a_drain_that_takes_too_long_is_cut_and_says_so(start: Any) -> None:
    server = start(DRAIN_TIMEOUT_SECONDS="0.1")
    wait_until(server.ready, what="readyz")
    stream = server.client().completions.create(**{**LONG, "max_tokens": 4000}, n=64, stream=True)
    next(iter(stream))
    server.process.send_signal(signal.SIGTERM)
    assert server.exit_code() == 1
    assert "DRAIN_TIMEOUT_SECONDS" in server.log.read_text()


def test_a_corrupt_model_refuses_to_start(start: Any, model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "damaged"))
    weights = folder / "openvino_model.bin"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    server = start(folder)
    assert server.exit_code() == 1
    assert "IntegrityError" in server.log.read_text()
    assert "openvino_model.bin" in server.log.read_text()


def test_a_manifest_with_another_hash_refuses_to_start(start: Any) -> None:
    server = start(MODEL_MANIFEST_SHA256="0" * 64)
    assert server.exit_code() == 1
    assert "IntegrityError" in server.log.read_text()


def test_a_model_that_openvino_cannot_read_refuses_to_start(start: Any, model: Path, tmp_path: Path) -> None:
    from include.contracts.manifests import ModelManifest
    from include.contracts.records import canonical_json, content_hash, parse_json, to_plain

    folder = Path(shutil.copytree(model, tmp_path / "strange"))
    (folder / "openvino_model.xml").write_bytes(b"<net/>")
    manifest = to_plain(parse_json(ModelManifest, (folder / "manifest.json").read_bytes(), where="here"))
    for entry in manifest["files"]:
        if entry["path"] == "openvino_model.xml":
            entry |= {"size_bytes": 6, "sha256": content_hash(b"<net/>")}
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    server = start(folder)
    assert server.exit_code() == 1
    assert "cannot load the model" in server.log.read_text()


def test_a_taken_port_is_told(start: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = start(PORT=str(taken.getsockname()[1]))
        assert server.exit_code() == 1
    assert "PORT" in server.log.read_text()


def test_a_missing_setting_is_told(start: Any) -> None:
    server = start(MODEL_URI="")
    assert server.exit_code() == 1
    assert "MODEL_URI: is missing" in server.log.read_text()
