"""A small S3 on plain files for the jobs, and a corpus whose every record's fate is known."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

from spark_jobs.jobs.build_corpus import build_corpus

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Write = Callable[[Path, Any], Path]


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


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    from spark_jobs import storage

    root = tmp_path / "s3"
    for bucket in ("nexus-llm-raw", "nexus-llm-processed"):
        (root / bucket).mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_S3Handler,), {"root": root}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    storage._client.cache_clear()
    yield S3(endpoint, root)
    storage._client.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Known:
    """Shards, and for every stage the drops that are in them by construction."""

    shards: list[Path]
    records: int
    dropped: dict[str, dict[str, int]]
    exact: dict[str, str]
    near: dict[str, str]


@pytest.fixture(scope="session")
def known(
    tmp_path_factory: pytest.TempPathFactory,
    write_shard: Write,
    sentence: Callable[[random.Random, int], str],
) -> Known:
    """600 good documents of three subsets, and every kind of record that is dropped."""
    folder = tmp_path_factory.mktemp("corpus") / "raw"
    generator = random.Random(7)
    texts = [sentence(generator, generator.randint(60, 120)) for _ in range(600)]
    lines = [json.dumps({"text": t, "meta": {"pile_set_name": "Large"}}).encode() for t in texts[:400]]
    bad = {
        b"{": ("read", "invalid_json"),
        b'{"text": "\xff"}': ("read", "invalid_utf8"),
        b'{"meta": {}}': ("read", "unknown_schema"),
        b'{"text": ""}': ("read", "no_text"),
        b'{"text": "' + b"q" * 400_000 + b'"}': ("read", "too_large"),
        rb'{"text": " \n \u0000 "}': ("normalise", "empty_after_normalisation"),
        json.dumps({"text": "café � " * 20}).encode(): ("normalise", "encoding_fault"),
        b'{"text": "too short"}': ("filter", "too_short"),
        json.dumps({"text": "#$%& *() {}[] " * 9 + "x"}).encode(): ("filter", "too_many_symbols"),
        json.dumps({"text": "again and again\n" * 30}).encode(): ("filter", "too_repetitive"),
    }
    # a copy is longer in bytes but equal after normalisation; a near copy is one word longer
    exact = {f"raw/a.jsonl.zst/{400 + len(bad) + i:09d}": f"raw/a.jsonl.zst/{i:09d}" for i in range(5)}
    copies = [json.dumps({"text": f"  {texts[i]}\r\n"}).encode() for i in range(5)]
    near = {f"raw/a.jsonl.zst/{i:09d}": f"raw/b.jsonl.gz/{200 + i - 10:09d}" for i in range(10, 14)}
    variants = [{"text": texts[i].upper() + " anew"} for i in range(10, 14)]
    second = [
        {"text": t, "red_pajama_subset": "arxiv" if i < 150 else "wiki"} for i, t in enumerate(texts[400:])
    ]
    shards = [
        write_shard(folder / "a.jsonl.zst", b"\n".join([*lines, *bad, *copies])),
        write_shard(folder / "b.jsonl.gz", [*second, *variants]),
        write_shard(folder / "empty.jsonl", b""),
        folder / "cut.jsonl.gz",
    ]
    whole = json.dumps({"text": sentence(generator, 90)}).encode()
    cut = gzip.compress(whole + b"\n" + generator.randbytes(9000).hex().encode())
    shards[-1].write_bytes(cut[:8000])
    dropped: dict[str, Counter[str]] = {}
    for stage, reason in bad.values():
        dropped.setdefault(stage, Counter())[reason] += 1
    dropped["read"].update(corrupt_shard=1)
    dropped["exact_dedup"] = Counter(exact_duplicate=5)
    dropped["near_dedup"] = Counter(near_duplicate=4)
    records = 400 + len(bad) + 5 + 204 + 2
    return Known(shards, records, {stage: dict(counts) for stage, counts in dropped.items()}, exact, near)


@pytest.fixture(scope="session")
def built(
    known: Known,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    make_request: Callable[..., str],
) -> Path:
    """The corpus of ``known``, built in the session of two cores."""
    root = tmp_path_factory.mktemp("built")
    build_corpus(spark, make_request(root, known.shards))
    return root
