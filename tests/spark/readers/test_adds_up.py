"""Records in are documents kept plus records dropped, counted from what the shard held.

Shards of every container are made out of records whose fate is known, so that the counts are compared with
what was written, not with what the reader believes to have seen.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import raw_shard
from spark_jobs.readers.shards import NumberedShard

LIMIT = 5000


class Held(NamedTuple):
    """A record as bytes; ``outcome`` is ``kept``, ``repaired`` or the reason for the drop."""

    content: bytes
    outcome: str


HELD = [
    Held(b'{"text": "plain"}', "kept"),
    Held('{"text": "漢字 }{ \\" \\\\", "n": {"a": [1]}}'.encode(), "kept"),
    Held(b'{"meta": {"x": 1}, "content": "other key"}', "kept"),
    Held(b'{"text": null, "content": "second key"}', "kept"),
    Held(b'{"text": "long number", "id": 1180591620717411303424}', "kept"),
    Held(b'{"text": "t", "url": "caf\xe9"}', "repaired"),
    Held(rb'{"text": "t", "title": "half \ud83d"}', "repaired"),
    Held(b'{"text": "t", "score": NaN}', "repaired"),
    Held(b'{"text": "t", "score": -1e999}', "repaired"),
    Held(b'{"text": "raw \t tab"}', "repaired"),
    Held(b'{"text": "t", "deep": ' + b"[" * 600 + b"]" * 600 + b"}", "repaired"),
    Held(b'{"deep": ' + b'{"k":' * 1500 + b"1" + b"}" * 1500 + b', "text": "t"}', "repaired"),
    Held(b'{"text": "caf\xe9"}', "invalid_utf8"),
    Held(rb'{"text": "\ud800"}', "invalid_utf8"),
    Held(b'{"text": null}', "no_text"),
    Held(b'{"text": ["list"]}', "no_text"),
    Held(b'{"index": {"_id": 1}}', "unknown_schema"),
    Held(b'{"text": "' + b"x" * (LIMIT + 1) + b'"}', "too_large"),
]
#: Only where each record has a line of its own is the end of a broken one known.
BROKEN = [
    Held(b'{"text": "cut off', "invalid_json"),
    Held(b"not json at all", "invalid_json"),
    Held(b'[1, {"text": "in a list"}]', "unknown_schema"),
    Held(b"\0\0\0\0", "corrupt_shard"),
]


def lines(end: bytes) -> Callable[[list[bytes]], bytes]:
    return lambda records: b"".join(record + end for record in records)


WHOLE_LAYOUTS: dict[str, Callable[[list[bytes]], bytes]] = {
    "joined": b"".join,
    "old mac": lines(b"\r"),
    "array": lambda records: b"[" + b",".join(records) + b"]",
    "array of lines": lambda records: b"[\n" + b",\n".join(records) + b"\n]\n",
    "marks": lambda records: b"".join(b"\xef\xbb\xbf" + record + b"\n" for record in records),
}
LINE_LAYOUTS = {"lines": lines(b"\n"), "windows": lines(b"\r\n"), "no last end": b"\n".join}


def series(pack: Callable[[bytes], bytes], padding: bytes = b"") -> Callable[[bytes], bytes]:
    """Cut anywhere, also within a record."""
    return lambda content: padding.join(pack(content[i : i + 700]) for i in range(0, len(content), 700))


zstd = zstandard.ZstdCompressor().compress
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstd,
    "twice": lambda content: gzip.compress(zstd(content)),
    "members": series(gzip.compress, b"\0" * 9),
    "frames": series(zstd, b"\0" * 9),
}


def read(content: bytes) -> tuple[list[dict[str, Any]], ReadCounts]:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        counts = ReadCounts()
        shard = NumberedShard(0, "raw/a", raw_shard(file.name))
        batches = read_documents(shard, ReadRecipe(max_document_bytes=LIMIT), counts)
        return [row for batch in batches for row in batch.to_pylist()], counts


def assert_adds_up(content: bytes, held: list[Held]) -> None:
    rows, counts = read(content)
    expected = Counter(record.outcome for record in held)
    kept, repaired = expected.pop("kept", 0), expected.pop("repaired", 0)
    assert counts.records == len(held)
    assert len(rows) == kept + repaired
    assert counts.repaired.total() == repaired
    assert dict(counts.dropped) == dict(expected)
    kept_rows = [row for row, record in enumerate(held) if record.outcome in ("kept", "repaired")]
    assert [row["row"] for row in rows] == kept_rows


@pytest.mark.parametrize("packing", PACKINGS)
@given(st.data())
def test_every_record_of_lines_is_kept_or_counted(packing: str, data: st.DataObject) -> None:
    layout = LINE_LAYOUTS[data.draw(st.sampled_from(sorted(LINE_LAYOUTS)))]
    held = [HELD[0], *data.draw(st.lists(st.sampled_from([*HELD, *BROKEN]), max_size=25))]
    assert_adds_up(PACKINGS[packing](layout([record.content for record in held])), held)


@pytest.mark.parametrize("layout", WHOLE_LAYOUTS)
@given(st.lists(st.sampled_from(HELD), max_size=25), st.sampled_from(sorted(PACKINGS)))
def test_every_record_of_any_layout_is_kept_or_counted(layout: str, held: list[Held], packing: str) -> None:
    held = [HELD[0], HELD[0], *held]
    assert_adds_up(PACKINGS[packing](WHOLE_LAYOUTS[layout]([record.content for record in held])), held)


@given(st.lists(st.lists(st.sampled_from(HELD), min_size=1, max_size=5), min_size=2, max_size=5))
def test_files_joined_without_a_line_feed_lose_nothing(files: list[list[Held]]) -> None:
    files = [[HELD[0], HELD[1]], *files]
    content = b"".join(b"\n".join(record.content for record in file) for file in files)
    assert_adds_up(content, [record for file in files for record in file])


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(HELD), min_size=1, max_size=5),
            st.sampled_from(["plain", "gzip", "zstd", "twice", "members"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_parts_of_any_compression_joined_in_any_order_lose_nothing(
    parts: list[tuple[list[Held], str]],
) -> None:
    content = lines(b"\n")([HELD[0].content])
    for held, packing in parts:
        content += PACKINGS[packing](lines(b"\n")([record.content for record in held]))
    assert_adds_up(content, [HELD[0], *(record for held, _ in parts for record in held)])


PARQUET_TEXTS = [
    ("plain", "kept"),
    ("caf\xe9", "kept"),
    (None, "no_text"),
    ("", "no_text"),
    ("x" * (LIMIT + 1), "too_large"),
]


@given(
    st.lists(st.sampled_from(PARQUET_TEXTS), max_size=400),
    st.integers(1, 150),
    st.sampled_from(["none", "zstd"]),
)
def test_every_row_of_parquet_is_kept_or_counted(
    rows: list[tuple[str | None, str]], group: int, compression: str
) -> None:
    target = io.BytesIO()
    texts = pa.array([text for text, _ in rows], pa.string())
    pq.write_table(pa.table({"text": texts}), target, row_group_size=group, compression=compression)
    assert_adds_up(target.getvalue(), [Held(b"", outcome) for _, outcome in rows])


@given(st.integers(1, 600), st.integers(5, 90), st.floats(0.05, 0.95))
def test_rows_lost_with_a_damaged_part_of_parquet_are_counted_by_the_footer(
    count: int, group: int, place: float
) -> None:
    target = io.BytesIO()
    table = pa.table(
        {"text": [f"{i} {i**9}" for i in range(count)], "url": [f"http://site/{i}" for i in range(count)]}
    )
    pq.write_table(table, target, row_group_size=group, compression="zstd", write_page_checksum=True)
    content = bytearray(target.getvalue())
    metadata = pq.ParquetFile(io.BytesIO(bytes(content))).metadata
    last = metadata.row_group(metadata.num_row_groups - 1).column(1)
    start, end = 4, (last.dictionary_page_offset or last.data_page_offset) + last.total_compressed_size
    position = start + int((end - start) * place)
    content[position] ^= 0xFF
    rows, counts = read(bytes(content))
    assert counts.records == count == len(rows) + counts.dropped["corrupt_shard"]
    # one byte lies in one column of one row group
    assert counts.dropped["corrupt_shard"] <= group
    for row in rows:
        number, _, power = row["text"].partition(" ")
        assert (int(number), int(power)) == (row["row"], row["row"] ** 9)
        assert json.loads(row["metadata"])["url"] in (f"http://site/{number}", None)
