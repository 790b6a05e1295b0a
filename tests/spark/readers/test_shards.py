from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import InputError
from include.contracts.manifests import RawShard
from spark_jobs.readers.shards import all_shards, document_id, grouped, ordered_shards


def raw(uri: str, size_bytes: int = 1, name: str = "") -> RawShard:
    return RawShard(uri, size_bytes, "etag", name)


def test_ids_ascend_with_shards_and_rows_whatever_the_order_of_the_request() -> None:
    uris = [
        f"s3://bucket/{key}" for key in ("a/b.jsonl", "a/b-c.jsonl", "a/b.jsonl.gz", "a.jsonl", "é/x", "z/x")
    ]
    shards = ordered_shards([raw(uri) for uri in uris])
    random.Random(1).shuffle(uris)
    assert [s.name for s in ordered_shards([raw(uri) for uri in uris])] == [s.name for s in shards]
    ids = [document_id(shard.name, row).encode() for shard in shards for row in (0, 9, 10, 10**8)]
    assert ids == sorted(ids)


def test_a_shard_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        ordered_shards([raw("s3://bucket/a"), raw("s3://bucket/a")])


def test_local_shards_of_equal_folder_and_file_names_get_distinct_names() -> None:
    names = [shard.name for shard in ordered_shards([raw("/x/a/f.jsonl"), raw("/y/a/f.jsonl")])]
    assert len(set(names)) == 2
    assert all(name.startswith("a/f.jsonl~") for name in names)


def test_a_shard_has_the_name_that_the_request_gives_it() -> None:
    given_names = [raw("/x/2023-06/0/f", name="x/2023-06/0/f"), raw("/x/2023-14/0/f", name="x/2023-14/0/f")]
    assert [shard.name for shard in ordered_shards(given_names)] == ["x/2023-06/0/f", "x/2023-14/0/f"]


def test_a_name_that_an_earlier_group_has_is_told_apart_and_the_earlier_one_stays() -> None:
    groups = [[raw("/x/a/f"), raw("/x/b/f")], [raw("/y/a/f"), raw("/y/c/f")], [raw("/z/a/f")]]
    shards = all_shards(groups)
    assert [shard.index for shard in shards] == [0, 1, 2, 3, 4]
    assert [shard.name.partition("~")[0] for shard in shards] == ["a/f", "b/f", "a/f", "c/f", "a/f"]
    assert [shard.name for shard in shards if "~" not in shard.name] == ["a/f", "b/f", "c/f"]
    assert len({shard.name for shard in shards}) == 5
    assert [shard.name for shard in all_shards(groups[:2])] == [shard.name for shard in shards[:4]]


@pytest.mark.parametrize("root", ["s3://b/rp2", "/data/rp2"])
def test_quality_signals_go_with_their_documents(root: str) -> None:
    documents = f"{root}/documents/2023-06/0000/en_head.json.gz"
    signals = f"{root}/quality_signals/2023-06/0000/en_head.signals.json.gz"
    shards = ordered_shards([raw(signals), raw(documents)])
    assert [(shard.raw.uri, shard.signals) for shard in shards] == [(documents, raw(signals))]


@given(st.lists(st.integers(0, 10**9), max_size=60))
def test_parts_hold_every_shard_once_in_order(sizes: list[int]) -> None:
    shards = ordered_shards([raw(f"s3://b/{i:05d}", size) for i, size in enumerate(sizes)])
    assert [shard for part in grouped(shards) for shard in part] == shards
