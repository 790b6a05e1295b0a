"""Judge a text by a sample of its records: the first one may be a header or an index line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from include.contracts.documents import DropReason
from spark_jobs.readers.compression import Block, Damage
from spark_jobs.readers.formats import TEXT_KEYS, Unpacked
from spark_jobs.readers.pieces import Overlong, Piece
from spark_jobs.readers.salvage import salvaged
from spark_jobs.readers.splitting import split_records

#: So much is read of a file in which no record has a text, before the file is left out for it.
SAMPLE_BYTES = 32 << 20
SAMPLE_RECORDS = 10_000


@dataclass
class Sample:
    """Records at the beginning of a text, up to the first with a text.

    ``is_whole`` is True where the sample is the whole file.
    """

    keys: set[str] = field(default_factory=set)
    records: int = 0
    objects: int = 0
    has_text: bool = False
    is_damaged: bool = False
    is_whole: bool = False


def sample(found: Unpacked) -> Sample:
    """Read records until one has a text, SAMPLE_RECORDS or SAMPLE_BYTES are read, or the file ends."""
    result = Sample()
    blocks = _Counted(found.blocks)
    for piece in split_records(found.head, blocks, SAMPLE_BYTES):
        _add(result, piece)
        if result.has_text or result.records >= SAMPLE_RECORDS:
            return result
    result.is_whole = blocks.is_whole
    return result


def keys_of_records(head: bytes) -> set[str]:
    """Return all keys of the whole records in the beginning of a text, up to the first record with a text."""
    result = Sample()
    for piece in split_records(head, [head], len(head)):
        _add(result, piece)
        if result.has_text:
            break
    return result.keys


def _add(result: Sample, piece: Piece) -> None:
    if isinstance(piece, Damage | Overlong):
        result.is_damaged |= isinstance(piece, Damage)
        return
    try:
        records = [orjson.loads(piece)]
    except orjson.JSONDecodeError:
        records = [record.value for record in salvaged(piece) if not isinstance(record, DropReason)]
    for record in records:
        result.records += 1
        if isinstance(record, dict):
            result.objects += 1
            result.keys.update(record)
            result.has_text |= any(key in record for key in TEXT_KEYS)


class _Counted:
    """The first SAMPLE_BYTES of blocks."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self.is_whole = False

    def __iter__(self) -> Iterator[Block]:
        size = 0
        while size < SAMPLE_BYTES:
            block = next(self._blocks, None)
            if block is None:
                self.is_whole = True
                return
            size += 0 if isinstance(block, Damage) else len(block)
            yield block
