"""Connections of clients that are too slow end; the limits are shortened, and other clients are answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from serving import app as app_module
from serving import connections
from serving.app import ServerPhase, ServerState, make_app
from serving.connections import TimedProtocol, limit_unread_time

DEADLINE_SECONDS = 30
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


def endless() -> FastAPI:
    """Build an application whose answer has more bytes than the buffers between server and client."""
    app = FastAPI()

    async def blocks() -> AsyncIterator[bytes]:
        try:
            for _ in range(1000):
                yield b"x" * 2**20
        finally:
            app.state.ended.set()

    @app.get("/")
    async def answer() -> StreamingResponse:
        return StreamingResponse(blocks())

    return app


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """Serve ``app`` as `serving.lifecycle` does. Yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    limit_unread_time(listener)
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", http=TimedProtocol, timeout_keep_alive=DEADLINE_SECONDS
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serving


async def ending(port: int, sent: bytes, then: bytes = b"x") -> bytes:
    """Send ``sent``, then a byte now and then. Return what the server sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)

    async def trickle() -> None:
        while True:
            await asyncio.sleep(0.02)
            writer.write(then)
            await writer.drain()

    trickling = asyncio.create_task(trickle())
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await reader.read()
    finally:
        trickling.cancel()
        writer.close()


def state() -> ServerState:
    ready = ServerState("m", max_body_bytes=1000, phase=ServerPhase.READY)
    ready.completions = object()  # type: ignore[assignment]
    return ready


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", HEAD, GET + b"GET /hea"])
def test_a_head_that_does_not_end_closes_the_connection(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)

    async def run() -> bytes:
        async with served(make_app(state())) as port:
            return await ending(port, sent)

    answered = asyncio.run(run())
    assert answered.count(b"HTTP/1.1 ") == sent.count(b"\r\n\r\n")


def test_a_body_that_does_not_end_is_answered_and_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "BODY_SECONDS", 0.3)
    ready = state()

    async def run() -> bytes:
        async with served(make_app(ready)) as port:
            return await ending(port, HEAD.replace(b"50", b"999") + b"\r\n")

    answered = asyncio.run(run())
    assert answered.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answered
    assert b"did not arrive within 0.3 seconds" in answered
    assert ready.open_requests == 0


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 1)

    async def run() -> None:
        app = endless()
        app.state.ended = asyncio.Event()
        async with served(app) as port:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await app.state.ended.wait()

    asyncio.run(run())


def test_requests_with_pauses_between_them_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)

    async def run() -> None:
        async with served(make_app(state())) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(GET)
                assert (await reader.readuntil(b"ready")).startswith(b"HTTP/1.1 200 ")
                await asyncio.sleep(0.4)  # an idle connection is kept by another limit
            writer.close()

    asyncio.run(run())
