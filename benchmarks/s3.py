"""Measure the local S3 over loopback, with a raw socket and with a boto3 client.

python -m benchmarks.s3 [--root DIR] [--rounds 5]

Starts a server on a free port and prints a table and one line of JSON. The raw client speaks HTTP over a
plain socket and computes no checksum, so it shows the speed of the server. boto3 shows the speed end to end:
it signs, hashes (CRC32 and SHA-256 of the payload) and verifies. Each figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import boto3
from botocore.config import Config

from local_aws.interruption import INTERRUPTED, child, interruptible

BUCKET = "bench"
LARGE_BYTES = 100 << 20
RANGE_BYTES = 64 << 10
SMALL_BYTES = 1 << 10
SMALL_PUTS = 300
_MEBI = 1 << 20
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


@dataclass(frozen=True)
class Figure:
    """A measured figure; ``at_least`` is True if values above ``target`` are good."""

    name: str
    client: str
    value: float
    best: float
    unit: str
    target: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """True if the target is reached."""
        return self.value >= self.target if self.at_least else self.value <= self.target


Span = tuple[int, int]
Put = Callable[[str, bytes], object]
Get = Callable[..., object]


class RawClient:
    """A minimal HTTP/1.1 client over one socket."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._scratch = memoryview(bytearray(_MEBI))

    def put(self, key: str, body: bytes) -> object:
        """Send PutObject."""
        return self.request("PUT", key, body)

    def get(self, key: str, span: Span | None = None) -> object:
        """Send GetObject, for the whole object or the bytes from ``span[0]`` to ``span[1]``."""
        return self.request("GET", key, headers=f"Range: bytes={span[0]}-{span[1]}\r\n" if span else "")

    def request(self, method: str, key: str, body: bytes = b"", headers: str = "") -> int:
        """Send one request, read the full response, and return the number of bytes of its body."""
        head = (
            f"{method} /{BUCKET}/{key} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: {_AUTHORIZATION}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        ).encode()
        if len(body) < _MEBI:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
        status = int(self._file.readline().split()[1])
        length = 0
        while (line := self._file.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        left = length
        while left:
            left -= self._file.readinto(self._scratch[: min(left, _MEBI)])  # type: ignore[attr-defined]
        if status >= 300:
            raise RuntimeError(f"{method} {key} answered {status}")
        return length


def measure(port: int, rounds: int) -> list[Figure]:
    """Measure all figures, each the median of ``rounds``."""
    raw = RawClient(port)
    session = boto3.Session("local", "local", region_name="us-east-1")
    client = session.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", config=Config(max_pool_connections=4)
    )
    client.create_bucket(Bucket=BUCKET)

    def put_boto3(key: str, body: bytes) -> object:
        return client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def get_boto3(key: str, span: Span | None = None) -> object:
        which = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
        return client.get_object(Bucket=BUCKET, Key=key, **which)["Body"].read()

    return [
        *_figures("raw socket", raw.put, raw.get, rounds),
        *_figures("boto3", put_boto3, get_boto3, rounds),
    ]


def _figures(client: str, put: Put, get: Get, rounds: int) -> list[Figure]:
    large, small = os.urandom(LARGE_BYTES), os.urandom(SMALL_BYTES)
    repetitions = range(rounds)
    puts = [_seconds(partial(put, "large", large)) for _ in repetitions]
    gets = [_seconds(partial(get, "large")) for _ in repetitions]
    firsts = [i * 37 % (LARGE_BYTES // RANGE_BYTES) * RANGE_BYTES for i in range(40 * rounds)]
    ranges = [_seconds(partial(get, "large", (first, first + RANGE_BYTES - 1))) for first in firsts]
    smalls = [_seconds(partial(_put_many, put, f"small/{repetition}", small)) for repetition in repetitions]
    mebi = LARGE_BYTES / _MEBI
    return [
        Figure("put 100 MiB", client, mebi / median(puts), mebi / min(puts), "MiB/s", 250),
        Figure("get 100 MiB", client, mebi / median(gets), mebi / min(gets), "MiB/s", 800),
        Figure("get 64 KiB range", client, 1e3 * median(ranges), 1e3 * min(ranges), "ms", 5, at_least=False),
        Figure("put 1 KiB", client, SMALL_PUTS / median(smalls), SMALL_PUTS / min(smalls), "objects/s", 300),
    ]


def _put_many(put: Put, prefix: str, body: bytes) -> None:
    for index in range(SMALL_PUTS):
        put(f"{prefix}/{index:04d}", body)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _measure_own_server(parent: Path | None, rounds: int) -> list[Figure] | None:
    with (
        tempfile.TemporaryDirectory(dir=parent) as root,
        child(
            [sys.executable, "-m", "local_aws", "--root", root, "--port", "0"], stdout=subprocess.PIPE
        ) as server,
    ):
        assert server.stdout is not None
        ready = server.stdout.readline()
        return measure(int(ready.rsplit(":", 1)[1]), rounds) if ready else None


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures. Return 1 if one misses its target, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="benchmarks.s3", description="Measure the local S3 over loopback")
    parser.add_argument("--root", type=Path, help="folder for the server's data (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    try:
        with interruptible():
            figures = _measure_own_server(arguments.root, arguments.rounds)
    except KeyboardInterrupt:
        print("interrupted; the server was stopped", file=sys.stderr)
        return INTERRUPTED
    if figures is None:
        return 2  # the server has printed the reason to stderr
    print(f"{'':18} {'client':12} {'median':>10} {'best':>10} {'target':>10}")
    for f in figures:
        sign = "≥" if f.at_least else "≤"
        unit = f.unit if f.met else f"{f.unit}  missed"
        print(f"{f.name:18} {f.client:12} {f.value:10.1f} {f.best:10.1f} {sign:>4} {f.target:<5.0f} {unit}")
    print(json.dumps({"figures": [asdict(f) | {"met": f.met} for f in figures]}))
    return 0 if all(f.met for f in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
