"""A small S3 on plain files, for jobs that run without local_aws."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class _S3Handler(BaseHTTPRequestHandler):
    """GET, HEAD, PUT, list and batch delete on ``root/<bucket>/<key>``; the etag is the MD5."""

    protocol_version = "HTTP/1.1"
    root: Path

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def path_and_query(self) -> tuple[Path, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return self.root / unquote(parts.path).lstrip("/"), parse_qs(parts.query, keep_blank_values=True)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, query = self.path_and_query
        bucket = self.root / path.relative_to(self.root).parts[0]
        if not bucket.is_dir():
            return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if "list-type" in query:
            return self.list_keys(bucket, query["prefix"][0])
        if path == bucket:
            return self.answer(200)
        if not path.is_file():
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        content = path.read_bytes()
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if self.headers.get("If-Match", etag) != etag:
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        status = 200
        if wanted := self.headers.get("Range"):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            content, status = content[int(start) : int(end) + 1 if end else None], 206
        return self.answer(status, content, ETag=etag, Content_Length=str(len(content)))

    def list_keys(self, bucket: Path, prefix: str) -> None:
        keys = sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file())
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>"
            for key in keys
            if key.startswith(prefix)
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
        self.answer(200, body.encode())

    def do_PUT(self) -> None:
        path, _ = self.path_and_query
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            body = _unchunked(body)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

    def do_POST(self) -> None:
        path, _ = self.path_and_query
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for element in ElementTree.fromstring(body).iter():
            if element.tag.endswith("Key"):
                (path / str(element.text)).unlink(missing_ok=True)
        self.answer(200, b"<DeleteResult></DeleteResult>")


def _unchunked(body: bytes) -> bytes:
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            break
        content, body = content + body[:length], body[length + 2 :]
    return content


@dataclass(frozen=True)
class S3:
    """Endpoint and folder of the server; buckets are the folders in it."""

    endpoint: str
    root: Path


@contextmanager
def serve(root: Path) -> Iterator[S3]:
    """Serve the buckets in ``root`` on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_S3Handler,), {"root": root}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield S3(f"http://127.0.0.1:{server.server_port}", root)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
