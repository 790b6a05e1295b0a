from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from include.contracts.manifests import CorpusManifest, StageReport
from include.contracts.records import parse_json

if TYPE_CHECKING:
    from tests.spark.conftest import Known


@pytest.fixture(scope="module")
def manifest(built: Path) -> CorpusManifest:
    return parse_json(CorpusManifest, (built / "manifest.json").read_bytes(), where="manifest")


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def read_shard(folder: Path, name: str, dtype: str) -> Iterator[np.ndarray[Any, Any]]:
    """Sequences of a Megatron pair, by the published layout."""
    index = (folder / f"{name}.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    _, _, sequences, documents = struct.unpack_from("<QBQQ", index, 9)
    lengths = np.frombuffer(index, np.int32, sequences, 34)
    pointers = np.frombuffer(index, np.int64, sequences, 34 + 4 * sequences)
    assert np.frombuffer(index, np.int64, documents, 34 + 12 * sequences).tolist() == list(
        range(sequences + 1)
    )
    content = (folder / f"{name}.bin").read_bytes()
    assert len(content) == lengths.sum() * np.dtype(dtype).itemsize
    for length, pointer in zip(lengths, pointers, strict=True):
        yield np.frombuffer(content, dtype, length, pointer)


def test_every_record_is_kept_or_dropped_for_its_reason(
    known: Known, manifest: CorpusManifest, built: Path
) -> None:
    assert manifest.documents_in == known.records
    assert manifest.dropped == known.dropped
    kept = [*rows(built / "documents"), *rows(built / "held_out")]
    assert manifest.documents_kept == len(kept) == len({row["id"] for row in kept}) == 600 + 1


def test_stage_reports_chain_without_a_gap(built: Path, known: Known) -> None:
    stages = ("read", "normalise", "filter", "exact_dedup", "near_dedup", "tokenise")
    reports = [parse_json(StageReport, (built / f"stages/{s}.json").read_bytes(), where=s) for s in stages]
    for before, after in pairwise(reports):
        assert after.documents_in == before.documents_out
    shards = reports[0].details["shards"]
    assert sum(shard["records"] for shard in shards.values()) == known.records
    by_reason: dict[str, Counter[str]] = {}
    for shard in shards.values():
        dropped = shard.get("dropped", {})
        assert shard["records"] == shard["kept"] + sum(sum(d.values()) for d in dropped.values())
        for stage, counts in dropped.items():
            by_reason.setdefault(stage, Counter()).update(counts)
    assert by_reason == {stage: known.dropped[stage] for stage in ("read", "normalise", "filter")}
    assert shards["raw/empty.jsonl"]["note"] == "empty"
    assert "ends within" in shards["raw/cut.jsonl.gz"]["note"]
    assert reports[0].details["bytes"] == sum(path.stat().st_size for path in known.shards)


def test_every_reason_to_drop_a_record_has_examples_that_name_their_row(built: Path, known: Known) -> None:
    examples = json.loads((built / "work/examples.json").read_bytes())
    for stage in ("read", "normalise", "filter"):
        assert {reason: len(shown) for reason, shown in examples[stage].items()} == {
            reason: min(3, count) for reason, count in known.dropped[stage].items()
        }
    shown = {reason: (one["id"], one["text"]) for reason, (one, *_) in examples["read"].items()}
    read = json.loads((built / "stages/read.json").read_bytes())
    note = read["details"]["shards"]["raw/cut.jsonl.gz"]["note"]
    assert shown.pop("corrupt_shard") == ("raw/cut.jsonl.gz/000000001", note)
    assert shown == {
        "invalid_json": ("raw/a.jsonl.zst/000000400", "{"),
        "invalid_utf8": ("raw/a.jsonl.zst/000000401", '{"text": "\ufffd"}'),
        "unknown_schema": ("raw/a.jsonl.zst/000000402", '{"meta": {}}'),
        "no_text": ("raw/a.jsonl.zst/000000403", '{"text": ""}'),
        "too_large": ("raw/a.jsonl.zst/000000404", '{"text": "' + "q" * 291),
    }


def test_duplicates_name_the_document_that_stands_for_them(known: Known, built: Path) -> None:
    found = rows(built / "duplicates")
    assert {row["id"]: row["kept_id"] for row in found if row["stage"] == "exact_dedup"} == known.exact
    near = {row["id"]: row for row in found if row["stage"] == "near_dedup"}
    assert {identifier: row["kept_id"] for identifier, row in near.items()} == known.near
    assert all(0.8 < row["similarity"] <= 1 for row in near.values())
    kept = {row["id"] for row in [*rows(built / "documents"), *rows(built / "held_out")]}
    assert all(row["kept_id"] in kept and row["id"] not in kept for row in found)


def test_held_out_documents_are_apart_and_every_larger_subset_has_some(
    manifest: CorpusManifest, built: Path
) -> None:
    training, held_out = ({row["id"] for row in rows(built / name)} for name in ("documents", "held_out"))
    assert not training & held_out
    assert manifest.documents_held_out == len(held_out)
    assert set(manifest.subsets) >= {"Large", "arxiv", "wiki"}
    for name in ("Large", "arxiv", "wiki"):
        assert manifest.subsets[name].documents_held_out >= 1


def test_ids_ascend_within_and_across_files(built: Path) -> None:
    for name in ("documents", "held_out"):
        ids = [row["id"] for row in rows(built / name)]
        assert ids == sorted(ids)


@pytest.mark.parametrize("kind", ["tokens", "held_out_tokens"])
def test_tokens_are_those_of_the_tokenizer_document_by_document(
    kind: str, manifest: CorpusManifest, built: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(built / "tokenizer/tokenizer.json"))
    texts = {row["id"]: row for row in rows(built / {"tokens": "documents"}.get(kind, "held_out"))}
    seen: list[str] = []
    total = 0
    for shard in manifest.shards if kind == "tokens" else manifest.held_out_shards:
        sidecar = pq.read_table(built / kind / f"{shard.name}.documents.parquet").to_pylist()
        sequences = list(read_shard(built / kind, shard.name, manifest.token_dtype))
        assert (len(sidecar), sum(map(len, sequences))) == (shard.documents, shard.tokens)
        assert shard.tokens <= 20_000 or shard.documents == 1
        offset = 0
        for row, sequence in zip(sidecar, sequences, strict=True):
            document = texts[row["id"]]
            assert document["subset"] == shard.subset
            expected = [*tokenizer.encode(document["text"]).ids, manifest.end_of_text_id]
            assert sequence.tolist() == expected
            assert (row["token_offset"], row["tokens"]) == (offset, len(sequence))
            assert row["text_bytes"] == len(document["text"].encode())
            offset += len(sequence)
        seen += [row["id"] for row in sidecar]
        total += offset
    assert sorted(seen) == sorted(texts)
    assert total == (manifest.tokens if kind == "tokens" else manifest.tokens_held_out)


def test_a_subset_in_several_shards_is_cut_between_documents_in_the_order_of_ids(
    manifest: CorpusManifest, built: Path
) -> None:
    large = [shard for shard in manifest.shards if shard.subset == "Large"]
    assert [shard.name for shard in large] == [f"large-{i:05d}" for i in range(len(large))]
    assert len(large) > 2
    ids = [
        row["id"]
        for shard in large
        for row in pq.read_table(built / "tokens" / f"{shard.name}.documents.parquet").to_pylist()
    ]
    assert ids == sorted(ids)


def test_the_manifest_lists_every_file_with_its_hash(manifest: CorpusManifest, built: Path) -> None:
    folders = ("documents", "held_out", "duplicates", "tokens", "held_out_tokens", "tokenizer", "index")
    on_disk = {str(p.relative_to(built)) for folder in folders for p in (built / folder).iterdir()}
    assert {file.path for file in manifest.files} == on_disk
    for file in manifest.files:
        content = (built / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
    assert manifest.tokenizer_sha256 in {file.sha256 for file in manifest.files}
    assert manifest.request.sha256 == hashlib.sha256((built / "request.json").read_bytes()).hexdigest()


def test_counts_by_subset_add_up(manifest: CorpusManifest, built: Path) -> None:
    subsets = manifest.subsets.values()
    assert sum(s.documents + s.documents_held_out for s in subsets) == manifest.documents_kept
    assert sum(s.tokens for s in subsets) == manifest.tokens
    assert sum(s.text_bytes for s in subsets) == sum(
        len(r["text"].encode()) for r in rows(built / "documents")
    )


def test_metadata_is_json_and_the_source_is_named(built: Path) -> None:
    for row in rows(built / "documents"):
        json.loads(row["metadata"])
        assert row["source"] in {"pile", "redpajama_v1", "raw"}
