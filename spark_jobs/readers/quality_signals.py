"""Read RedPajama v2's quality signals together with the documents of the same shard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from include.object_store import STORE
from spark_jobs.readers.compression import Damage, gzip_blocks, plain_blocks
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.lines import split_lines
from spark_jobs.readers.pieces import Overlong
from spark_jobs.readers.shards import NumberedShard

_LONGEST_LINE_BYTES = 1 << 24
_END = 1 << 62


class QualitySignals:
    """The signals of a shard, read forward by rows."""

    def __init__(self, stream: BinaryIO, counts: ReadCounts) -> None:
        self._lines = split_lines(gzip_blocks(plain_blocks(stream)), _LONGEST_LINE_BYTES)
        self._counts = counts
        self._row: int = -1
        self._signals: Any = None

    def of_row(self, row: int) -> Any:
        """Return the signals of a row, by the number at the end of their id; None where there are none."""
        while self._row < row:
            self._read_next()
        return self._signals if self._row == row else None

    def _read_next(self) -> None:
        line = next(self._lines, None)
        if line is None:
            self._row, self._signals = _END, None
        elif isinstance(line, Overlong):
            self._counts.note = "quality signals of some documents are too large and left out"
        elif isinstance(line, Damage):
            self._counts.note = "quality signals are damaged in places"
        else:
            try:
                record = orjson.loads(line)
                row, signals = int(str(record["id"]).rpartition("/")[2]), record.get("quality_signals")
            except (orjson.JSONDecodeError, AttributeError, KeyError, ValueError, TypeError):
                self._counts.note = "quality signals are damaged in places"
                return
            if row > self._row:  # a number out of order would hold back all that follow
                self._row, self._signals = row, signals


@contextlib.contextmanager
def quality_signals(shard: NumberedShard, counts: ReadCounts) -> Iterator[QualitySignals | None]:
    """Open the quality signals of a shard; None if it has none."""
    if shard.signals is None:
        yield None
        return
    with STORE.open(shard.signals.uri, shard.signals.etag) as stream:
        yield QualitySignals(stream, counts)
