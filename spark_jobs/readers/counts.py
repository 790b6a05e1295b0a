"""Counts the records of a shard: documents, drops and repairs."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from include.contracts.documents import DropReason, RepairReason
from spark_jobs.filters.drops import Drops

_EXCERPT_BYTES = 301


@dataclass
class ReadCounts:
    """Records of a shard, drops and repairs by reason, and what the shard turned out to be.

    ``records`` is the number of documents read plus all drops. ``repaired`` counts kept documents.
    """

    container: str = ""
    companion: str = ""
    records: int = 0
    bytes_read: int = 0
    dropped: Drops = field(default_factory=Drops)
    repaired: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def drop(self, reason: DropReason, row: int, content: bytes | str, records: int = 1) -> None:
        """Count dropped records. Keep the beginning of the first few as examples."""
        self.dropped[reason.value] += records
        if self.dropped.lack_example(reason.value):
            text = content if isinstance(content, str) else _excerpt(content)
            self.dropped.add_example(reason.value, row, text)

    def lose(self, note: str, records: int = 1) -> None:
        """Count records of a damaged part. Their number counts as 1 if it is unknown."""
        self.note = self.note or note
        self.drop(DropReason.CORRUPT_SHARD, self.records, note, records)
        self.records += records

    def refuse(self, note: str, content: bytes) -> None:
        """Count a shard that cannot be read as one record."""
        self.note = note
        self.drop(DropReason.UNKNOWN_SCHEMA, self.records, content)
        self.records += 1

    def repair(self, reasons: Iterable[RepairReason]) -> None:
        """Count a kept document for each reason to repair it."""
        self.repaired.update(reason.value for reason in reasons)


def _excerpt(content: bytes) -> str:
    """Return the beginning as text, without a character that the end of the excerpt cuts."""
    whole = len(content) <= _EXCERPT_BYTES
    return codecs.getincrementaldecoder("utf-8")("replace").decode(content[:_EXCERPT_BYTES], final=whole)
