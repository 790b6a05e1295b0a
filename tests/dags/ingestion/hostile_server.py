"""An HTTP server of shards whose faults a test chooses for each request: slow, broken or wrong answers."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BLOCK = 256 << 10


@dataclass
class Trick:
    """The faults of one answer. The defaults are a correct answer."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # close after so many bytes of the body
    stall_after: int | None = None  # send so many, then nothing
    stall_seconds: float = 30.0
    announce: int | None = None  # Content-Length that is not true
    no_length: bool = False
    ignore_range: bool = False
    shift_range: int = 0  # answer with a range that begins so many bytes later
    seconds_per_block: float = 0.0


@dataclass
class Hosted:
    """A file: its bytes, its version, and the tricks of the next requests."""

    body: bytes
    etag: str = '"v1"'
    tricks: list[Trick] = field(default_factory=list)
    always: Trick = field(default_factory=Trick)


@dataclass
class Seen:
    path: str
    headers: dict[str, str]


class HostileServer:
    """The server. It serves ``files`` by path and counts requests and bytes."""

    def __init__(self) -> None:
        self.files: dict[str, Hosted] = {}
        self.seen: list[Seen] = []
        self.sent: dict[str, int] = {}
        self.open_now: list[str] = []
        #: The paths that were served at once when these were most.
        self.most_open: list[str] = []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/{path}"

    def host(self, path: str, body: bytes, *tricks: Trick, **more: Any) -> Hosted:
        self.files[path] = Hosted(body, tricks=list(tricks), **more)
        return self.files[path]

    def requests(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    def close(self) -> None:
        self.ending.set()
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def hostile_server() -> Iterator[HostileServer]:
    server = HostileServer()
    try:
        yield server
    finally:
        server.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: HostileServer

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        with self.owner.lock:
            self.owner.seen.append(Seen(path, {k.lower(): v for k, v in self.headers.items()}))
            self.owner.open_now.append(path)
            self.owner.most_open = max(self.owner.most_open, list(self.owner.open_now), key=len)
        try:
            self._answer(path)
        except OSError:  # the client went away
            self.close_connection = True
        finally:
            with self.owner.lock:
                self.owner.open_now.remove(path)

    def _answer(self, path: str) -> None:
        hosted = self.owner.files.get(path)
        if hosted is None:
            self._head(404, {"Content-Length": "0"})
            return
        trick = hosted.tricks.pop(0) if hosted.tricks else hosted.always
        if trick.status is not None:
            self._head(trick.status, {"Content-Length": "0", **trick.headers})
            return
        total, first = len(hosted.body), self._first(hosted, trick)
        headers = {"ETag": hosted.etag} if hosted.etag else {}
        if first >= total > 0:
            self._head(416, {**headers, "Content-Range": f"bytes */{total}", "Content-Length": "0"})
            return
        if first:
            first += trick.shift_range
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        length = total - first if trick.announce is None else trick.announce
        if trick.no_length:
            self.close_connection = True
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(length)
        self._head(206 if "Content-Range" in headers else 200, {**headers, **trick.headers})
        self._body(path, hosted.body[first:], trick)
        if length != total - first:
            self.close_connection = True

    def _first(self, hosted: Hosted, trick: Trick) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not match or trick.ignore_range:
            return 0
        condition = self.headers.get("If-Range")
        return 0 if condition and condition != hosted.etag else int(match[1])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, path: str, body: bytes, trick: Trick) -> None:
        stop = min(x for x in (len(body), trick.cut_after, trick.stall_after) if x is not None)
        for start in range(0, stop, _BLOCK):
            block = body[start : min(start + _BLOCK, stop)]
            if trick.seconds_per_block:  # before, not after: with the last byte the client is served
                time.sleep(trick.seconds_per_block)
            self.wfile.write(block)
            with self.owner.lock:
                self.owner.sent[path] = self.owner.sent.get(path, 0) + len(block)
        if trick.stall_after is not None:
            self.owner.ending.wait(trick.stall_seconds)
        if stop < len(body):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass
