from __future__ import annotations

import pytest

from include.contracts.errors import InputError
from include.contracts.manifests import RawShard
from include.contracts.shard_names import left_out_by_name
from include.contracts.storage import S3Uri
from include.object_store import ObjectStat
from include.planning.corpus_inputs import new_shards, require_shards, split_inputs

SOURCE = S3Uri("raw-bucket", "pile/")
A = RawShard("s3://raw-bucket/pile/a.jsonl.zst", 10, "e1")
B = RawShard("s3://raw-bucket/pile/b.jsonl", 20, "e2")


def listed(key: str, size_bytes: int = 5) -> ObjectStat:
    return ObjectStat(str(SOURCE / key), size_bytes, "etag")


def test_objects_that_are_no_shards_are_left_out_by_name() -> None:
    listing = split_inputs(
        [
            listed("a.jsonl"),
            listed("README.md"),
            listed("b.parquet"),
            listed("c.json.gz"),
            listed("d.jsonl", 0),
        ]
    )
    assert [shard.uri.rpartition("/")[2] for shard in listing.shards] == ["a.jsonl", "b.parquet", "c.json.gz"]
    assert [uri.rpartition("/")[2] for uri in listing.left_out] == ["README.md", "d.jsonl"]


def test_what_describes_shards_or_stands_beside_them_is_left_out_as_make_corpus_does() -> None:
    pair = (
        "documents/2023-06/0000/en_head.json.gz",
        "quality_signals/2023-06/0000/en_head.signals.json.gz",
    )
    others = (
        ".hidden.jsonl",
        "README.json",
        "dataset_info.json",
        "duplicates/2023-06/0000/en_head.duplicates.parquet",
        "minhash/2023-06/0000/en_head.minhash.parquet",
        "quality_signals/2023-06/0000/en_middle.signals.json.gz",
        "s/README.JSON",
    )
    listing = split_inputs([listed(key) for key in (*others, *pair)])
    assert [shard.uri for shard in listing.shards] == [str(SOURCE / key) for key in pair]
    assert listing.left_out == tuple(str(SOURCE / key) for key in others)
    uris = [str(SOURCE / key) for key in (*others, *pair)]
    assert set(left_out_by_name(uris)) == set(listing.left_out)  # by URI, as the jobs ask


def test_signals_of_documents_that_are_empty_are_left_out() -> None:
    documents = listed("documents/2023-06/0000/en_head.json.gz", 0)
    signals = listed("quality_signals/2023-06/0000/en_head.signals.json.gz")
    assert split_inputs([documents, signals]).shards == ()


def test_prefix_without_shards_is_refused_with_what_lies_there() -> None:
    with pytest.raises(InputError, match=r"s3://raw-bucket/pile/: no shards.*README\.md"):
        require_shards(split_inputs([listed("README.md")]), SOURCE)


def test_a_shard_with_other_bytes_is_new() -> None:
    listing = split_inputs([ObjectStat(A.uri, 10, "changed"), ObjectStat(B.uri, 20, "e2")])
    assert [shard.uri for shard in new_shards(listing, [A, B])] == [A.uri]
