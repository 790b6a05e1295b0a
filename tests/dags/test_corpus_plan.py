"""What corpus_refresh plans when the newest corpus is being built anew."""

from __future__ import annotations

from typing import Any

import pytest

from include.aws.corpus import find_new_shards, inputs_of_latest, note_latest
from include.aws.storage import ObjectStore
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.storage import CorpusPlace

SHARD = RawShard("s3://nexus-llm-raw/pile/a.jsonl", 3, "e1")


@pytest.fixture
def place(aws: Any, settings_file: Any) -> CorpusPlace:
    """A published corpus of one shard."""
    s3 = aws.client("s3")
    for bucket in (settings_file.storage.raw_bucket, settings_file.storage.processed_bucket):
        s3.create_bucket(Bucket=bucket)
    store, place = ObjectStore(), CorpusPlace.of(settings_file.storage.processed_bucket, "v1")
    request = store.write_record(place.request, CorpusRequest("v1", (SHARD,), {}, "", str(place.root)))
    empty: dict[str, Any] = {"tokens": 0, "tokens_held_out": 0, "subsets": {}, "tokenizer_sha256": ""}
    empty |= {"vocabulary_size": 1, "token_dtype": "uint16", "end_of_text_id": 0, "shards": ()}
    manifest = CorpusManifest(
        "v1", str(place.root), request, 0, 0, 0, {}, **empty, held_out_shards=(), files=()
    )
    note_latest(settings_file, store.write_record(place.manifest, manifest))
    return place


def test_the_newest_corpus_says_which_shards_are_known(place: CorpusPlace, settings_file: Any) -> None:
    assert inputs_of_latest(settings_file) == (SHARD,)


def test_a_corpus_that_is_built_anew_leaves_the_next_run_able_to_plan(
    place: CorpusPlace, settings_file: Any
) -> None:
    ObjectStore().delete(place.manifest)  # as `force` does before its jobs run, and fail
    assert inputs_of_latest(settings_file) == ()
    assert find_new_shards(settings_file.storage.raw, settings_file)[0] == 0


def test_a_corpus_that_was_built_anew_is_known_by_its_address(place: CorpusPlace, settings_file: Any) -> None:
    pointer = ParentRef(str(place.manifest), "0" * 64)
    note_latest(settings_file, pointer)
    assert inputs_of_latest(settings_file) == (SHARD,)
