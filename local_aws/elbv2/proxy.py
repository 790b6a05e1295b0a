"""One listener: an HTTP/1.1 reverse proxy that passes bodies on as they come and loses no request.

A request that could not be sent, because its target refused the connection, goes to another target. What
was sent is never sent twice.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_aws.elbv2.targets import Target, TargetGroups

_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 120.0
_CHUNK_BYTES = 65536
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
Weights = Callable[[], list[tuple[str, int]]]
Count = Callable[[str, int], None]


class Listener:
    """Serves ``port`` on 127.0.0.1; ``weights`` gives the target groups of the forward action, now."""

    def __init__(self, port: int, groups: TargetGroups, weights: Weights, count: Count) -> None:
        self.groups = groups
        self.weights = weights
        self.count = count
        self._current: dict[str, float] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.listener = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept nothing more; requests in flight go on in their threads."""
        self._server.shutdown()
        self._server.server_close()

    def group(self) -> str | None:
        """The next target group by smooth weighted round robin; None without a weight above 0."""
        weights = [(arn, weight) for arn, weight in self.weights() if weight > 0]
        if not weights:
            return None
        total = sum(weight for _, weight in weights)
        with self._lock:
            for arn, weight in weights:
                self._current[arn] = self._current.get(arn, 0.0) + weight
            chosen = max((arn for arn, _ in weights), key=lambda arn: self._current[arn])
            self._current[chosen] -= total
        return chosen


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    request_queue_size = 512
    listener: Listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing per request."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._forward
        raise AttributeError(name)

    def _forward(self) -> None:
        listener = self.server.listener
        body = self._body()
        arn = listener.group()
        tried: set[tuple[str, int]] = set()
        while arn and (target := listener.groups.pick(arn, tried)):
            try:
                upstream = _connect(target)
                if upstream is None:
                    tried.add(target.address)
                    continue
                status = self._exchange(upstream, body)
                listener.count(arn, status)
                return
            finally:
                listener.groups.release(target)
        if arn:
            listener.count(arn, 503)
        self._refuse(502 if tried else 503)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _exchange(self, upstream: http.client.HTTPConnection, body: bytes) -> int:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers["X-Forwarded-For"] = self.client_address[0]
        headers["X-Forwarded-Proto"] = "http"
        headers["Connection"] = "close"
        if body or self.command in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        with contextlib.closing(upstream):
            try:
                upstream.request(self.command, self.path, body=body or None, headers=headers)
                response = upstream.getresponse()
            except TimeoutError:
                self._refuse(504)
                return 504
            except (OSError, http.client.HTTPException):
                self._refuse(502)
                return 502
            self._answer(response)
            return response.status

    def _answer(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        bare = self.command == "HEAD" or response.status in (204, 304) or response.status < 200
        chunked = not bare and response.getheader("Content-Length") is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if bare:
            return
        try:
            while data := response.read1(_CHUNK_BYTES):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
        except (OSError, http.client.HTTPException):
            # the answer is torn: the client must see that, so its connection ends here too
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int) -> None:
        text = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}[status]
        body = f"<html><body><h1>{status} {text}</h1></body></html>\r\n".encode()
        with contextlib.suppress(OSError):
            self.send_response_only(status, text)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)


def _connect(target: Target) -> http.client.HTTPConnection | None:
    """A connection, or None when the target refuses: then nothing was sent and another may have it."""
    connection = http.client.HTTPConnection(*target.address, timeout=_CONNECT_SECONDS)
    try:
        connection.connect()
    except OSError:
        connection.close()
        return None
    connection.sock.settimeout(_IDLE_SECONDS)
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
