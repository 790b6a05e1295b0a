"""JSON lines from blocks of bytes, with a bound on the memory that one line can take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: Stands for a line that was longer than the limit; its bytes were passed over.
OVERLONG = None


def split_lines(blocks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes | None]:
    """Lines without their ends; blank ones are left out, OVERLONG replaces those above the limit.

    Keeps at most one block and ``limit_bytes`` in memory.
    """
    carried: list[bytes] = []
    size = 0
    overlong = False
    for block in blocks:
        end = block.find(b"\n")
        if end < 0:
            size += len(block)
            if size > limit_bytes:
                carried, overlong = [], True
            elif not overlong:
                carried.append(block)
            continue
        if overlong or size + end > limit_bytes:
            yield OVERLONG
            overlong = False
        elif (line := b"".join((*carried, block[:end]))).strip():
            yield line
        *lines, rest = block[end + 1 :].split(b"\n")
        for line in lines:
            if len(line) > limit_bytes:
                yield OVERLONG
            elif line and not line.isspace():
                yield line
        carried, size = [rest], len(rest)
    if overlong or size > limit_bytes:
        yield OVERLONG
    elif (line := b"".join(carried)).strip():
        yield line
