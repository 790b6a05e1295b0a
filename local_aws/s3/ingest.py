"""Writes a request body to a temporary file, and computes and verifies its checksums."""

from __future__ import annotations

import base64
import hashlib
import os
import queue
import re
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from local_aws.errors import AwsError
from local_aws.http.messages import Request
from local_aws.s3 import checksums
from local_aws.s3.aws_chunked import AwsChunkedBody, decoded_body

_BLOCK_BYTES = 1 << 20
_BLOCKS = 4
_MAX_BODY_BYTES = 5 << 30
_THREAD_FROM_BYTES = 2 << 20


@dataclass
class Received:
    """A body in the file ``temporary``, not yet an object. The caller publishes or discards it.

    ``checksums`` maps algorithms to base64 values.
    """

    temporary: Path
    size: int
    md5: bytes
    checksums: dict[str, str]

    def discard(self) -> None:
        """Remove the temporary file if it still exists."""
        self.temporary.unlink(missing_ok=True)


class Md5:
    """The MD5 of a body. If ``threaded``, it is computed in a thread, because it is the slowest step."""

    def __init__(self, threaded: bool) -> None:
        self._digest = hashlib.md5(usedforsecurity=False)
        self._todo: queue.SimpleQueue[tuple[memoryview, threading.Semaphore] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    def update(self, block: memoryview, free: threading.Semaphore) -> None:
        """Digest ``block``, then release ``free`` to tell the caller that it may overwrite the block."""
        if self._thread:
            self._todo.put((block, free))
        else:
            self._digest.update(block)
            free.release()

    def digest(self) -> bytes:
        """Return the digest of all blocks and end the thread."""
        if self._thread:
            self._todo.put(None)
            self._thread.join()
            self._thread = None
        return self._digest.digest()

    def _work(self) -> None:
        while item := self._todo.get():
            self._digest.update(item[0])
            item[1].release()


def receive(
    request: Request, temporary_folder: Path, *, also: Iterable[str] = (), fsync: bool = False
) -> Received:
    """Store the body of ``request`` and verify the checksums and length in its headers and trailers.

    ``also`` names checksums to compute besides those that the client sent. Raises AwsError if one differs.
    """
    headers = request.headers
    body, chunked = decoded_body(request)
    promised = checksums.claimed(headers)
    algorithms = set(promised) | {a.upper() for a in also}
    algorithms |= {a for a in checksums.ALGORITHMS if checksums.header_of(a) in _trailer_names(headers)}
    if len(promised) > 1:
        raise AwsError(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            400,
        )
    # one verified digest is enough: SHA-256 as well would be a second pass over the bytes
    proven = algorithms or "content-md5" in headers
    payload_hash = "" if proven else _payload_hash(headers)
    kept = algorithms or {checksums.DEFAULT}
    length = headers.get("x-amz-decoded-content-length") or headers.get("content-length") or "0"
    if not re.fullmatch("[0-9]{1,18}", length):
        raise AwsError("InvalidArgument", f"x-amz-decoded-content-length: {length[:40]!r} is no number", 400)
    if int(length) > _MAX_BODY_BYTES:
        raise AwsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            {"ProposedSize": length, "MaxSizeAllowed": str(_MAX_BODY_BYTES)},
        )
    received = store(
        body, temporary_folder, kept | ({"SHA256"} if payload_hash else set()), int(length), fsync
    )
    try:
        _verify(received, headers, promised, chunked)
        if payload_hash and base64.b64decode(received.checksums.pop("SHA256")).hex() != payload_hash.lower():
            raise AwsError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                400,
            )
        if "x-amz-decoded-content-length" in headers and received.size != int(length):
            raise AwsError("IncompleteBody", f"expected {length} bytes, got {received.size}", 400)
    except BaseException:
        received.discard()
        raise
    return received


def read_small(request: Request, limit_bytes: int, *, verify_checksums: bool = True) -> bytes:
    """Read the document in a request's body and verify its Content-MD5.

    Its checksum headers are verified too, unless ``verify_checksums`` is False. Raises AwsError.
    """
    body, chunked = decoded_body(request)
    data = bytearray()
    block = memoryview(bytearray(1 << 16))
    while count := body.readinto(block):
        data += block[:count]
        if len(data) > limit_bytes:
            raise AwsError("MaxMessageLengthExceeded", "Your request was too big.", 400)
    promised = checksums.claimed(request.headers) if verify_checksums else {}
    values = {}
    for algorithm in {*promised, *(checksums.claimed(chunked.trailers) if chunked else ())}:
        digest = checksums.new_digest(algorithm)
        digest.update(data)
        values[algorithm] = base64.b64encode(digest.digest()).decode()
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    _verify(Received(Path(), len(data), md5, values), request.headers, promised, chunked)
    return bytes(data)


def store(
    body: RawIOBase, folder: Path, algorithms: Iterable[str], expected_bytes: int, fsync: bool = False
) -> Received:
    """Write ``body`` to a new file in ``folder`` and compute its digests. A failure leaves no file."""
    digests = {a: checksums.new_digest(a) for a in set(algorithms) or {checksums.DEFAULT}}
    temporary = folder / uuid.uuid4().hex
    block_bytes = max(1, min(_BLOCK_BYTES, expected_bytes or _BLOCK_BYTES))
    threaded = expected_bytes >= _THREAD_FROM_BYTES
    blocks = [memoryview(bytearray(block_bytes)) for _ in range(_BLOCKS if threaded else 1)]
    free = threading.Semaphore(len(blocks))
    md5 = Md5(threaded)
    size = turn = 0
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        while True:
            free.acquire()
            block = blocks[turn % len(blocks)]
            filled = _fill(body, block)
            if not filled:
                break
            block = block[:filled]
            md5.update(block, free)
            _write(descriptor, block)
            for digest in digests.values():
                digest.update(block)
            size, turn = size + filled, turn + 1
        if fsync:
            os.fsync(descriptor)
    except BaseException:
        temporary.unlink()
        raise
    finally:
        os.close(descriptor)
        md5_digest = md5.digest()
    values = {a: base64.b64encode(d.digest()).decode() for a, d in digests.items()}
    return Received(temporary, size, md5_digest, values)


def _fill(body: RawIOBase, block: memoryview) -> int:
    """Fill ``block`` from several reads, because small reads would cause small writes."""
    filled = 0
    while filled < len(block):
        count = body.readinto(block[filled:])
        if not count:
            break
        filled += count
    return filled


def _write(descriptor: int, block: memoryview) -> None:
    while block:
        block = block[os.write(descriptor, block) :]


def _trailer_names(headers: Mapping[str, str]) -> list[str]:
    return [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]


def _payload_hash(headers: Mapping[str, str]) -> str:
    """Return the hex SHA-256 of a signed body, or '' if it is unsigned or each chunk is signed."""
    value = headers.get("x-amz-content-sha256", "")
    return value if len(value) == 64 and all(c in "0123456789abcdef" for c in value.lower()) else ""


def _verify(
    received: Received,
    headers: Mapping[str, str],
    promised: dict[str, str],
    chunked: AwsChunkedBody | None,
) -> None:
    content_md5 = headers.get("content-md5")
    if content_md5 is not None:
        try:
            valid = len(base64.b64decode(content_md5, validate=True)) == 16
        except ValueError:
            valid = False
        if not valid:
            raise AwsError("InvalidDigest", "The Content-MD5 you specified is not valid.", 400)
        if base64.b64encode(received.md5).decode() != content_md5:
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)
    trailers = checksums.claimed(chunked.trailers) if chunked else {}
    missing = [n for n in _trailer_names(headers) if n and (chunked is None or n not in chunked.trailers)]
    if missing:
        raise AwsError("MalformedTrailerError", f"The trailer {missing[0]} was announced and not sent.", 400)
    if surprising := sorted(trailers.keys() - received.checksums.keys()):
        raise AwsError(
            "MalformedTrailerError", f"The trailer of {surprising[0]} was sent and not announced.", 400
        )
    for algorithm, value in {**promised, **trailers}.items():
        if received.checksums[algorithm] != value:
            raise AwsError(
                "BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", 400
            )
