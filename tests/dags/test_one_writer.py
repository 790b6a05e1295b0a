"""The middleware that lets one writing request at a time into the API server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import pytest

from nexus_airflow.one_writer import OneWriter


class Handler:
    """An ASGI application that counts the requests in it and answers 204, or raises on /broken."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.met: set[tuple[str, ...]] = set()
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside.append(scope["method"])
        try:
            self.bodies.append((await receive())["body"])
            for _ in range(5):
                self.met.add(tuple(sorted(self.inside)))
                await asyncio.sleep(0.001)
            if scope["path"] == "/broken":
                raise RuntimeError("broken")
        finally:
            self.inside.remove(scope["method"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def handler() -> Handler:
    return Handler()


def ask_at_once(app: Any, *requests: tuple[str, str]) -> None:
    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:

            async def one(method: str, path: str) -> None:
                with suppress(RuntimeError):
                    await client.request(method, path)

            await asyncio.gather(*(one(*request) for request in requests))

    asyncio.run(asyncio.wait_for(ask(), 10))


def test_two_writes_are_never_in_the_application_at_once(handler: Handler) -> None:
    ask_at_once(handler, ("POST", "/a"), ("PATCH", "/b"))
    assert ("PATCH", "POST") in handler.met  # without the middleware they are
    handler.met.clear()
    ask_at_once(OneWriter(handler), ("POST", "/a"), ("PATCH", "/b"), ("DELETE", "/c"))
    assert handler.met == {("DELETE",), ("PATCH",), ("POST",)}


def test_a_client_that_never_ends_its_body_keeps_nobody_waiting(handler: Handler) -> None:
    async def stalled(*_: object) -> Any:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def both() -> None:
        app = OneWriter(handler)
        scope: Any = {"type": "http", "method": "POST", "path": "/stalled"}
        first = asyncio.create_task(app(scope, stalled, stalled))
        await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            await client.put("/b", content=b"body")
        first.cancel()

    asyncio.run(asyncio.wait_for(both(), 10))
    assert handler.bodies == [b"body"]


def test_reads_wait_for_nobody(handler: Handler) -> None:
    ask_at_once(OneWriter(handler), ("POST", "/a"), ("GET", "/b"), ("GET", "/c"))
    assert ("GET", "GET", "POST") in handler.met


def test_a_write_that_fails_lets_the_next_one_in(handler: Handler) -> None:
    ask_at_once(OneWriter(handler), ("POST", "/broken"), ("PUT", "/b"))
    assert ("PUT",) in handler.met
