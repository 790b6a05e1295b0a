"""JSON lines from blocks of bytes, with a bound on the memory that one line can take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: Of what is no document so much is kept: enough to show that it goes on after the excerpt of a report.
BEGINNING_BYTES = 400


class Overlong(bytes):
    """The beginning of a line that was longer than the limit; its other bytes were passed over."""


def split_lines(blocks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Lines without their ends; blank ones are left out, an Overlong replaces those above the limit.

    Keeps at most one block and ``limit_bytes`` in memory.
    """
    carried: list[bytes] = []
    size = 0
    overlong: Overlong | None = None
    for block in blocks:
        end = block.find(b"\n")
        if end < 0:
            size += len(block)
            if overlong is None:
                carried.append(block)
            if size > limit_bytes and carried:
                carried, overlong = [], _beginning(carried)
            continue
        if overlong is None and size + end > limit_bytes:
            overlong = _beginning([*carried, block[:end]])
        if overlong is not None:
            yield overlong
            overlong = None
        elif (line := b"".join((*carried, block[:end]))).strip():
            yield line
        *lines, rest = block[end + 1 :].split(b"\n")
        for line in lines:
            if len(line) > limit_bytes:
                yield _beginning([line])
            elif line and not line.isspace():
                yield line
        carried, size = [rest], len(rest)
    if overlong is not None or size > limit_bytes:
        yield overlong or _beginning(carried)
    elif (line := b"".join(carried)).strip():
        yield line


def _beginning(pieces: Iterable[bytes]) -> Overlong:
    return Overlong(b"".join(piece[:BEGINNING_BYTES] for piece in pieces)[:BEGINNING_BYTES])
