"""MDS shards read back by a reader of a few lines, written from the format's description."""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.contracts.errors import InputError
from include.contracts.manifests import FileEntry
from spark_jobs.tokens.mds import MdsLayout, index_json
from spark_jobs.tokens.sequences import Sequences

DOCUMENTS = st.lists(st.tuples(st.text(max_size=12), st.integers(1, 600)), min_size=1, max_size=20)


def sequences(documents: list[tuple[str, int]], subset: str, dtype: str) -> Sequences:
    starts = np.cumsum([0, *(length for _, length in documents)])
    tokens = (np.arange(starts[-1]) * 40_503 % np.iinfo(dtype).max).astype(dtype)
    return Sequences(
        subset, pa.array([identifier for identifier, _ in documents], pa.string()), starts, tokens
    )


def read_shard(content: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Config and samples of a shard, every byte accounted for."""
    (count,) = struct.unpack_from("<I", content)
    offsets = struct.unpack_from(f"<{count + 1}I", content, 4)
    config = json.loads(content[4 * (count + 2) : offsets[0]])
    assert offsets[-1] == len(content)
    samples = []
    for begin, end in pairwise(offsets):
        sizes = struct.unpack_from("<3I", content, begin)
        fields, position = [], begin + 12
        for size in sizes:
            fields.append(content[position : position + size])
            position += size
        assert position == end
        identifier, subset, tokens = fields
        dimensions, width = tokens[0] >> 2, 1 << (tokens[0] & 3)
        assert dimensions == 1
        values = np.frombuffer(tokens[1 + width :], config["column_encodings"][2].removeprefix("ndarray:"))
        assert len(values) == int.from_bytes(tokens[1 : 1 + width], "little")
        samples.append({"id": identifier.decode(), "subset": subset.decode(), "tokens": values.tolist()})
    return config, samples


@given(DOCUMENTS, st.text(max_size=9), st.sampled_from(["uint16", "int32"]), st.integers(0, 3))
@example([("one", 255), ("two", 256), ("", 65_535), ("ä", 65_536)], "漢字", "uint16", 0)
def test_a_shard_holds_the_documents_and_is_as_large_as_foretold(
    tmp_path_factory: pytest.TempPathFactory,
    documents: list[tuple[str, int]],
    subset: str,
    dtype: str,
    skipped: int,
) -> None:
    path = tmp_path_factory.mktemp("mds") / "shard"
    whole = sequences(documents, subset, dtype)
    part = whole.part(min(skipped, len(documents) - 1), len(documents))
    layout = MdsLayout(dtype, 1000)
    layout.write(path, part)
    content = path.read_bytes()
    config, samples = read_shard(content)
    assert config == layout.config
    assert [sample["id"] for sample in samples] == part.ids.to_pylist()
    assert {sample["subset"] for sample in samples} == {subset}
    assert [sample["tokens"] for sample in samples] == [
        part.tokens[part.starts[i] : part.starts[i + 1]].tolist() for i in range(len(part.ids))
    ]
    assert len(content) == layout.overhead_bytes + layout.sizes(part).sum()


def test_the_index_lists_shards_in_order_by_their_names_within_the_folder() -> None:
    layout = MdsLayout("int32", 5)
    shards = [(FileEntry("tokens/b.00000.mds", 10, "bb"), 3), (FileEntry("tokens/a.00000.mds", 20, "aa"), 4)]
    index = json.loads(index_json(layout, shards))
    assert index["version"] == 2
    assert [shard["raw_data"] for shard in index["shards"]] == [
        {"basename": "b.00000.mds", "bytes": 10, "hashes": {"sha256": "bb"}},
        {"basename": "a.00000.mds", "bytes": 20, "hashes": {"sha256": "aa"}},
    ]
    assert [shard["samples"] for shard in index["shards"]] == [3, 4]


def test_a_document_beyond_four_gigabytes_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    length = 1 << 30
    tokens = np.broadcast_to(np.int32(0), length)  # of no size in memory
    huge = Sequences("s", pa.array(["huge"]), np.array([0, length]), tokens)
    with pytest.raises(InputError, match="huge: a document is too long for MDS"):
        MdsLayout("int32", 1000).write(tmp_path / "shard", huge)
    assert not (tmp_path / "shard").exists()
