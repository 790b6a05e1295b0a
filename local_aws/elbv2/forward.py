"""Forward one request to a target, and retry with another target where that is safe."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local_aws.elbv2.metrics import Counters
from local_aws.elbv2.names import forwards
from local_aws.elbv2.targets import Key, Target, Targets

REPLAYABLE_BYTES = 1 << 20
_CONNECT_SECONDS = 5.0
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect"),
    }
)
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_ERRORS = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


@dataclass(frozen=True)
class Route:
    """The configuration of a listener: its actions and the idle timeout of its balancer."""

    listener: str
    balancer: str
    port: int
    actions: list[dict[str, Any]]
    idle_seconds: float


class Forwarder:
    """A forwarder of requests. Use it only in the event loop in which it was created."""

    def __init__(self, targets: Targets, counters: Counters) -> None:
        self._targets = targets
        self._counters = counters
        # a POST cannot be retried, so it must not use a pooled connection that the target may be closing
        self._pooled, self._fresh = _session(force_close=False), _session(force_close=True)

    async def close(self) -> None:
        await self._pooled.close()
        await self._fresh.close()

    async def answer(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        """Forward one request to a target, or return the fixed response of the listener."""
        for action in route.actions:
            if action["Type"] == "fixed-response":
                return _fixed(action["FixedResponseConfig"])
        arn = self._targets.choose_group(route.listener, forwards(route.actions))
        if arn is None:
            return self._failed(request, route, None, 503)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = request.content_length
        replayable = not request.body_exists or (length is not None and length <= REPLAYABLE_BYTES)
        body = await request.read() if request.body_exists and replayable else None
        tried: set[Key] = set()
        status = 503
        while target := self._targets.take(arn, tried):
            tried.add(target.key)
            try:
                streamed = None if replayable else _chunks(request)
                return await self._exchange(request, route, target, body or streamed)
            except _NOT_SENT:
                status = 502
            except TimeoutError:
                return self._failed(request, route, arn, 504)
            except aiohttp.ClientError:
                status = 502
                if not replayable or request.method not in _IDEMPOTENT:
                    break
            finally:
                self._targets.give_back(target)
        return self._failed(request, route, arn, status)

    async def _exchange(
        self, request: web.BaseRequest, route: Route, target: Target, body: Any
    ) -> web.StreamResponse:
        """Send the request to one target and stream its answer to the client.

        Raises only as long as no part of the answer has been sent to the client.
        """
        started = time.monotonic()
        session = self._pooled if request.method in _IDEMPOTENT else self._fresh
        answer = await session.request(
            request.method,
            URL(f"http://{target.address}{_path(request)}", encoded=True),
            headers=_request_headers(request, route),
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_SECONDS, sock_read=route.idle_seconds
            ),
        )
        self._counters.answered(route.balancer, target.group, answer.status, time.monotonic() - started)
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=_kept(answer.headers)
        )
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, TimeoutError, OSError):
            # the status is already sent; only a closed connection can show the client that a part is missing
            if request.transport is not None:
                request.transport.abort()
        finally:
            # a connection with an unread answer must not go back to the pool
            answer.release() if answer.content.at_eof() else answer.close()
        return response

    def _failed(self, request: web.BaseRequest, route: Route, arn: str | None, status: int) -> web.Response:
        self._counters.refused(route.balancer, arn, status)
        title = f"{status} {_ERRORS[status]}"
        text = f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
        response = web.Response(status=status, text=text, content_type="text/html")
        if request.body_exists and not request.content.is_eof():
            response.force_close()
        return response


def _session(*, force_close: bool) -> aiohttp.ClientSession:
    # targets commonly close idle connections after 5 s; a shorter time avoids writing to a closing connection
    kept: dict[str, Any] = {} if force_close else {"keepalive_timeout": 2.0}
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=force_close, **kept),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        max_line_size=1 << 16,
        max_field_size=1 << 16,
    )
    # aiohttp would retry a PUT whose body is partly read; ``answer`` decides which requests are retried
    session._retry_connection = False
    return session


def _fixed(config: dict[str, Any]) -> web.Response:
    return web.Response(
        status=int(config["StatusCode"]),
        text=config.get("MessageBody", ""),
        content_type=config.get("ContentType", "text/plain"),
    )


def _path(request: web.BaseRequest) -> str:
    """Return the request target in origin form, without decoding it."""
    raw = request.raw_path if hasattr(request, "raw_path") else str(request.rel_url)
    return "/" + raw.split("://", 1)[1].partition("/")[2] if "://" in raw.split("?", 1)[0] else raw


async def _chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk


def _kept(headers: Any) -> CIMultiDict[str]:
    """Return the headers without those that are valid for one connection only."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in _HOP_BY_HOP | named)


def _request_headers(request: web.BaseRequest, route: Route) -> CIMultiDict[str]:
    headers = _kept(request.headers)
    before = headers.get("X-Forwarded-For")
    client = request.remote or "127.0.0.1"
    headers["X-Forwarded-For"] = f"{before}, {client}" if before else client
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Port"] = str(route.port)
    headers.setdefault("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}")
    return headers


async def probe(session: aiohttp.ClientSession, url: str, timeout_seconds: float) -> tuple[int | None, str]:
    """Send one health check. Return its status, or None and the problem (``timeout`` or the error)."""
    try:
        async with asyncio.timeout(timeout_seconds):
            async with session.get(URL(url, encoded=True), allow_redirects=False) as answer:
                await answer.read()
                return answer.status, ""
    except TimeoutError:
        return None, "timeout"
    except (aiohttp.ClientError, OSError) as error:
        return None, str(error)
