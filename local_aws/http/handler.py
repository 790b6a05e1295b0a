"""The HTTP/1.1 server: threads, keep-alive connections, bodies that are drained, files sent by sendfile."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import socketserver
import sys
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_aws.http.bodies import BodyReader, request_body
from local_aws.http.messages import FileSlice, Headers, Reader, Request, Response

_SENDFILE_BYTES = 8 << 20
_DRAIN_LIMIT_BYTES = 256 << 20


class Sockets(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A listening socket with a thread for each connection; ``answer`` turns requests into responses."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback, except for a client that closed the connection."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and writes the responses."""

    protocol_version = "HTTP/1.1"
    rbufsize = 1 << 16
    wbufsize = 0  # buffered, `100 Continue` would wait for the answer and every PUT for a second
    server: Sockets
    timeout = 300

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing per request."""

    def version_string(self) -> str:
        return "local_aws"

    def __getattr__(self, name: str) -> Any:
        # every method goes one way; BaseHTTPRequestHandler asks for do_<METHOD>
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        headers = Headers(self.headers.items())
        try:
            body = request_body(headers, self.rfile)
        except ValueError as error:
            self.close_connection = True
            self._send(Response(400, {}, str(error).encode()))
            return
        # not self.path: http.server joins slashes at its beginning, and a key may begin with one
        target = self.requestline.split()[1]
        request = Request(self.command, target, headers, body)
        try:
            response = self.server.answer(request)
        except ConnectionError:
            self.close_connection = True
            return
        # unread bytes would be taken for the next request, or reset the connection under the answer
        if not _drain(body):
            self.close_connection = True
        self._send(response)

    def _send(self, response: Response) -> None:
        body = response.body
        length = body.length if isinstance(body, FileSlice) else len(body)
        headers = {"Server": "local_aws", "Date": formatdate(usegmt=True), **response.headers}
        if response.status not in (204, 304):
            headers.setdefault("Content-Length", str(length))
        if self.close_connection:
            headers["Connection"] = "close"
        phrase = self.responses.get(response.status, ("", ""))[0]
        lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        # a value that a request chose (response-content-type) must not end its line
        lines = [re.sub(r"[\r\n]+", " ", line) for line in lines]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        silent = self.command == "HEAD" or response.status in (204, 304)
        if isinstance(body, bytes):
            self.connection.sendall(head if silent else head + body)
            return
        with body.file:
            self.connection.sendall(head, 0 if silent else socket.MSG_MORE)
            if not silent:
                self._send_file(body)

    def _send_file(self, part: FileSlice) -> None:
        offset, end = part.offset, part.offset + part.length
        connection = self.connection.fileno()
        self.connection.settimeout(None)  # sendfile needs a blocking socket
        try:
            while offset < end:
                sent = os.sendfile(connection, part.file.fileno(), offset, min(end - offset, _SENDFILE_BYTES))
                if sent == 0:  # the file shrank under us: the client must notice
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                offset += sent
        finally:
            self.connection.settimeout(self.timeout)


def _drain(body: Reader) -> bool:
    """Read what is left of a body; False when it is too much or broken."""
    if not isinstance(body, BodyReader):
        return True
    buffer = memoryview(bytearray(1 << 16))
    drained = 0
    try:
        while drained < _DRAIN_LIMIT_BYTES:
            count = body.readinto(buffer)
            if not count:
                return True
            drained += count
    except (OSError, ValueError):
        pass
    return False
