"""Reads the end of a log, the bytes after an offset, or the progress that a job reports in its log."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 256 << 10
CHUNK_BYTES = 1 << 20
#: A job's progress line, e.g. ``progress: near_dedup 40/120 documents``.
_PROGRESS = re.compile(r"^progress: ([\w -]+?) (\d{1,15})/(\d{1,15}) (\w+)\r?$", re.MULTILINE)
_PROGRESS_BYTES = 16 << 10


@dataclass(frozen=True)
class LogChunk:
    """Bytes of a log from ``offset`` on; ``next`` is the offset that follows them."""

    data: bytes
    offset: int
    next: int

    @property
    def text(self) -> str:
        """The bytes as text. Invalid UTF-8 is replaced."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True)
class ReportedProgress:
    """The newest progress that a job reported."""

    stage: str
    done: int
    total: int
    unit: str

    def __str__(self) -> str:
        return f"{self.stage} {self.done:,} / {self.total:,} {self.unit}"


def progress(path: Path) -> ReportedProgress | None:
    """Return the newest progress line at the end of a log, or None if there is none."""
    lines = _PROGRESS.findall(tail(path, _PROGRESS_BYTES).text)
    if not lines:
        return None
    stage, done, total, unit = lines[-1]
    return ReportedProgress(stage, int(done), int(total), unit)


def tail(path: Path, limit_bytes: int = TAIL_BYTES) -> LogChunk:
    """Read the end of a log, from the beginning of a line on. A log that does not exist is empty."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = max(0, size - limit_bytes)
        file.seek(offset)
        data = file.read(size - offset)
        if offset and (cut := data.find(b"\n") + 1):
            data, offset = data[cut:], offset + cut
        return LogChunk(data, offset, offset + len(data))
    return LogChunk(b"", 0, 0)


def since(path: Path, offset: int) -> LogChunk:
    """Read at most 1 MiB from ``offset`` on. If the log is shorter, it was started again: read its tail."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if offset > os.fstat(file.fileno()).st_size:
            return tail(path)
        file.seek(offset)
        data = file.read(CHUNK_BYTES)
        return LogChunk(data, offset, offset + len(data))
    return LogChunk(b"", 0, 0)
