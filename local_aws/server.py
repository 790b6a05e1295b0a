"""One threaded HTTP/1.1 server on 127.0.0.1: S3, the control API, and every other service by WSGI."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import socket
import socketserver
import sys
import uuid
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from local_aws import wsgi
from local_aws.bodies import BodyReader, request_body
from local_aws.browsers import refusal
from local_aws.control import Control
from local_aws.errors import AwsError, LocalAwsError, render
from local_aws.messages import FileSlice, Headers, Reader, Request, Response
from local_aws.root_lock import lock_root
from local_aws.routing import Call, identify, is_form, service_of
from local_aws.settings import Settings

_SENDFILE_BYTES = 8 << 20
_DRAIN_LIMIT_BYTES = 256 << 20


class Supervisor(Protocol):
    """What runs beside the server: job executors, service processes, alarms."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Sockets(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512
    owner: LocalServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):  # a client that left is no news
            super().handle_error(request, client_address)


class LocalServer:
    """The endpoint: binds on construction (``port`` 0 takes a free one), serves until ``stop``."""

    def __init__(self, root: Path, port: int, *, fsync: bool = False, images: Path | None = None) -> None:
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        self._root_lock = lock_root(root)
        self.control = Control()
        try:
            self._sockets = _Sockets(("127.0.0.1", port), _Handler)
        except OSError as error:
            self._root_lock.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise LocalAwsError(
                "the port is taken" if error.errno == errno.EADDRINUSE else "the port is not allowed",
                where=f"127.0.0.1:{port}",
                expected="a free port",
                remedy="choose another by --port, or end what listens there",
            ) from error
        self._sockets.owner = self
        (root / ".state").mkdir(mode=0o700, exist_ok=True)
        (root / ".state").chmod(0o700)  # also where an earlier version made it for all to read
        self.settings = Settings(root, self._sockets.server_address[1], self.control, fsync, images)
        from local_aws.s3.app import S3App

        self.s3 = S3App(self.settings)
        self._wsgi: Callable[..., Any] | None = None
        self._supervisor: Supervisor | None = None
        self.on_ready: Callable[[], None] = lambda: None

    def serve(self) -> None:
        """Start the services and answer requests until ``stop`` is called from another thread."""
        self._wsgi, self._supervisor = _build_services(self.settings)
        if self._supervisor is not None:
            self._supervisor.start()
        try:
            self.on_ready()
            self._sockets.serve_forever(poll_interval=0.1)
        finally:
            if self._supervisor is not None:
                self._supervisor.stop()
            self._sockets.server_close()
            self._root_lock.close()

    def stop(self) -> None:
        """Make ``serve`` return; blocks until it no longer accepts connections."""
        self._sockets.shutdown()

    def answer(self, request: Request) -> Response:
        """Route one request to the control API, to S3 or to the other services."""
        if why := refusal(request, self.settings.port):
            return Response(403, {"Content-Type": "text/plain; charset=utf-8"}, f"{why}\n".encode())
        if request.raw_path.startswith("/_local/"):
            return self.control.answer(request)
        form = b""
        if service_of(request) != "s3" and is_form(request):
            form = request.body.read()
            request.body = BytesIO(form)
        call = identify(request, form)
        fault = self.control.intercept(call)
        if fault is not None:
            return render(fault, call.protocol, uuid.uuid4().hex)
        if call.service == "s3":
            return self.s3.answer(request)
        if self._wsgi is None:
            return _not_implemented(call)
        return wsgi.call(self._wsgi, request, self.settings)


def _build_services(settings: Settings) -> tuple[Callable[..., Any] | None, Supervisor | None]:
    try:
        services = importlib.import_module("local_aws.services")
    except ModuleNotFoundError as error:
        if error.name != "local_aws.services":
            raise
        return None, None
    application, supervisor = services.build_app(settings.root, settings)
    return application, supervisor


def _not_implemented(call: Call) -> Response:
    name = f"{call.service or 'an unsigned request'}.{call.operation or '?'}"
    error = AwsError("NotImplemented", f"local_aws does not implement {name}", 501)
    return render(error, call.protocol, uuid.uuid4().hex)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests off one connection and writes what LocalServer answers."""

    protocol_version = "HTTP/1.1"
    rbufsize = 1 << 16
    wbufsize = 0  # buffered, `100 Continue` would wait for the answer and every PUT for a second
    server: _Sockets
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
        request = Request(self.command, self.path, headers, body)
        try:
            response = self.server.owner.answer(request)
        except ConnectionError:
            self.close_connection = True
            return
        except Exception as error:
            self.server.handle_error(self.connection, self.client_address)
            protocol = "rest-xml" if service_of(request) == "s3" else "json"
            failure = AwsError("InternalError", f"local_aws failed: {type(error).__name__}: {error}", 500)
            response = render(failure, protocol, uuid.uuid4().hex)
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
