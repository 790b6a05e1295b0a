"""The manifest says what lies in the folder of the version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from include.contracts.manifests import CorpusManifest, StageReport
from include.object_store import STORE
from include.object_store.verification import verify


def manifest_of(built: Path) -> CorpusManifest:
    return STORE.read_record(CorpusManifest, str(built / "manifest.json"))


def test_counts_are_those_of_the_files(built: Path) -> None:
    manifest = manifest_of(built)
    rows = dict.fromkeys(("documents", "held_out"), 0)
    for folder in rows:
        rows[folder] = sum(pq.read_metadata(path).num_rows for path in (built / folder).glob("*.parquet"))
    assert manifest.documents_held_out == rows["held_out"] > 0
    assert manifest.documents_kept == rows["documents"] + rows["held_out"]
    for shards, folder, total in (
        (manifest.shards, "tokens", manifest.tokens),
        (manifest.held_out_shards, "held_out_tokens", manifest.tokens_held_out),
    ):
        held = {
            shard.name: len(np.fromfile(built / folder / f"{shard.name}.bin", manifest.token_dtype))
            for shard in shards
        }
        assert held == {shard.name: shard.tokens for shard in shards}
        assert sum(held.values()) == total > 0


def test_subsets_add_up_to_the_whole(built: Path) -> None:
    manifest = manifest_of(built)
    counts = manifest.subsets.values()
    held_out = sum(subset.documents_held_out for subset in counts)
    assert held_out == manifest.documents_held_out
    assert sum(subset.documents for subset in counts) + held_out == manifest.documents_kept
    assert sum(subset.tokens for subset in counts) == manifest.tokens
    assert sum(subset.tokens_held_out for subset in counts) == manifest.tokens_held_out
    assert list(manifest.subsets) == sorted(manifest.subsets)


def test_drops_are_those_of_the_stage_reports(built: Path) -> None:
    reports = [STORE.read_record(StageReport, str(path)) for path in (built / "stages").glob("*.json")]
    assert manifest_of(built).dropped == {
        report.stage: report.dropped for report in reports if report.dropped
    }


def test_every_listed_file_is_there_with_its_hash(built: Path) -> None:
    files = manifest_of(built).files
    assert [entry.path for entry in files] == sorted(entry.path for entry in files)
    for entry in files:
        verify(built / entry.path, entry)
