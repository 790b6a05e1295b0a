"""Middleware that admits one writing request at a time to an API server on SQLite."""

from __future__ import annotations

import asyncio
from collections import deque

from airflow.configuration import conf
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class OneWriter:
    """An ASGI middleware in which a request that may write waits for the one before it.

    SQLite has one write lock, and Airflow's audit log takes it on the event loop. If a request on a thread
    holds the lock, the loop waits for the lock, and the request needs the loop to commit. This deadlock lasts
    until SQLite's timeout, and the answer is a 500. A request that waits here does not block the loop.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READS:
            await self.app(scope, receive, send)
            return
        # receive the body first, so that a slow client does not delay other requests
        body = await _received(receive)
        async with self._turn:
            await self.app(scope, _again(body, receive), send)


async def _received(receive: Receive) -> deque[Message]:
    """Receive the messages of a request's body; the last may say that the client has disconnected."""
    messages = deque([await receive()])
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _again(messages: deque[Message], receive: Receive) -> Receive:
    async def replay() -> Message:
        return messages.popleft() if messages else await receive()

    return replay


def database_has_one_writer() -> bool:
    """Return True if Airflow's metadata database is SQLite."""
    return conf.get_mandatory_value("database", "sql_alchemy_conn").startswith("sqlite")
