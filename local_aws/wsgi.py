"""Calls a WSGI application with one of our requests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from local_aws.messages import Request, Response
from local_aws.settings import Settings

#: The services behind this answer documents; CBOR metrics and Lambda code are the largest by far.
_MAX_BODY_BYTES = 64 << 20
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"})


def call(application: Callable[..., Iterable[bytes]], request: Request, settings: Settings) -> Response:
    """Run ``application`` to its end; the bodies of these services are small documents."""
    body = b""
    while len(body) <= _MAX_BODY_BYTES and (more := request.body.read(_MAX_BODY_BYTES)):
        body += more
    if len(body) > _MAX_BODY_BYTES:
        return Response(413, {"Content-Type": "text/plain"}, b"the body is above 64 MiB\n")
    started: dict[str, Any] = {}

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[..., Any]:
        started.update(status=status, headers=headers)
        return written.append

    written: list[bytes] = []
    chunks = application(_environment(request, body, settings), start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    headers = {name: value for name, value in started["headers"] if name.lower() not in _HOP_BY_HOP}
    return Response(int(started["status"].split()[0]), headers, b"".join(written))


def _environment(request: Request, body: bytes, settings: Settings) -> dict[str, Any]:
    environment: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.raw_path).decode("latin-1"),
        "RAW_URI": request.target,
        "REQUEST_URI": request.target,
        "QUERY_STRING": request.raw_query,
        "SERVER_NAME": settings.host,
        "SERVER_PORT": str(settings.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environment[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environment[f"HTTP_{key}"] = value
    return environment
