"""The MDS export as mosaicml-streaming reads it, and against what its own writer would have written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from streaming import MDSWriter, StreamingDataset

if TYPE_CHECKING:
    from conftest import Made


def dataset(remote: Path, local: Path, split: str) -> StreamingDataset:
    """Through a cache of its own, since shards are only validated on their way into one."""
    return StreamingDataset(
        remote=str(remote),
        local=str(local),
        split=split,
        shuffle=False,
        batch_size=1,
        validate_hash="sha256",
        download_retry=1,
    )


def test_documents_come_in_order_with_equal_ids_subsets_and_tokens(made: Made, tmp_path: Path) -> None:
    theirs = dataset(made.folder / "mds", tmp_path, made.split)
    read = [(sample["id"], sample["subset"], sample["tokens"].tolist()) for sample in theirs]
    assert read == made.documents()
    assert theirs[0]["tokens"].dtype == made.manifest.token_dtype
    if made.split == "tokens":
        assert theirs.num_samples == len(read) > len(theirs.shards) > len(made.shards)
        assert {len(tokens) >> 8 > 0 for _, _, tokens in read} == {True, False}
        assert max(len(tokens) for _, _, tokens in read) >= 1 << 16


def test_bytes_are_those_of_their_own_writer(made: Made, tmp_path: Path) -> None:
    dtype = made.manifest.token_dtype
    index = json.loads((made.folder / "mds" / made.split / "index.json").read_bytes())
    listed = iter(index["shards"])
    for files, ours in made.read():
        out = tmp_path / files.shard.name
        limit = index["shards"][0]["size_limit"]
        columns = {"id": "str", "subset": "str", "tokens": f"ndarray:{dtype}"}
        with MDSWriter(out=str(out), columns=columns, hashes=["sha256"], size_limit=limit) as writer:
            for i, identifier in enumerate(ours.ids.to_pylist()):
                tokens = np.array(ours.tokens[ours.starts[i] : ours.starts[i + 1]])
                writer.write({"id": identifier, "subset": ours.subset, "tokens": tokens})
        for theirs in json.loads((out / "index.json").read_bytes())["shards"]:
            if not theirs["samples"]:  # what it puts before a first document that is over the limit
                continue
            mine = next(listed)
            written = (made.folder / "mds" / made.split / mine["raw_data"]["basename"]).read_bytes()
            assert written == (out / theirs["raw_data"]["basename"]).read_bytes()
            theirs["raw_data"]["basename"] = mine["raw_data"]["basename"]
            assert mine == theirs
    assert next(listed, None) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_shard_is_found_by_its_hash(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "mds", copy)
    (shard, *_) = sorted((copy / "held_out_tokens").glob("*.mds"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    damaged = dataset(copy, tmp_path / "cache", "held_out_tokens")
    with pytest.raises(ValueError, match="Checksum failure"):
        [damaged[i] for i in range(int(damaged.num_samples))]
