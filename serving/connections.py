"""Closes connections of clients that are too slow, for which uvicorn has no limits.

Without limits, clients that send or read a byte now and then hold connections until the process has no file
descriptor left for other clients, and a draining server waits for them.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: The longest time for the head of a request, which is also how long an idle connection is kept. It is longer
#: than a load balancer's 60 s, so that the balancer closes first.
HEAD_SECONDS = 75
#: The longest time for the body of a request.
BODY_SECONDS = 60
#: The longest time in which a client reads nothing of an answer that is waiting for it.
READ_SECONDS = 60


def limit_unread_time(listener: socket.socket) -> None:
    """Close a connection whose client reads nothing for ``READ_SECONDS``. Accepted sockets inherit this."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READ_SECONDS * 1000)


class TimedProtocol(H11Protocol):
    """A connection that is closed if the head of a request takes longer than ``HEAD_SECONDS``.

    uvicorn limits only the time between a response and the first byte of the next request.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def _watch_head(self) -> None:
        """Start the time of a head that is incomplete, unless it runs already. End it for a complete one."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
