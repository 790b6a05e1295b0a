from __future__ import annotations

import pytest

from include.contracts.shard_names import left_out_by_name, parted, published_subset, version_folders
from include.object_store.backend import ObjectStat
from include.planning.corpus_inputs import split_inputs

VERSION = ("request.json", "stages/read.json", "documents/part-00000.parquet", "index/part-00000.parquet")


@pytest.mark.parametrize(
    "files",
    [
        VERSION,
        ("manifest.json", "stages/tokenise.json", "documents/part-00000.parquet"),
        ("manifest.json", "tokens/web-00000.documents.parquet"),
        ("request.json", "work/clean_parts/part-00000.json", "work/clean/part-00000-000.parquet"),
        ("request.json", "work/clean/part-00003-000.parquet"),
    ],
)
def test_a_corpus_version_is_known_by_the_names_of_its_files(files: tuple[str, ...]) -> None:
    names = [*(f"raw/old/{file}" for file in files), "raw/older/a.jsonl", "raw/a.jsonl"]
    assert version_folders(names) == {"raw/old"}
    left_out = left_out_by_name(names)
    assert set(left_out) == set(names[: len(files)])
    assert set(left_out.values()) == {"part of the corpus version in raw/old"}


@pytest.mark.parametrize(
    "files",
    [
        ("manifest.json", "documents/2023-06/0000/en_head.json.gz", "duplicates/2023-06/0000/en_head.jsonl"),
        ("manifest.json", "index/a.jsonl", "tokens/a.jsonl", "work/a.jsonl"),
        ("request.json", "a.jsonl"),
        ("stages/read.json", "documents/a.jsonl"),
    ],
)
def test_folders_with_some_of_these_names_are_no_corpus_version(files: tuple[str, ...]) -> None:
    names = [f"raw/{file}" for file in files]
    assert version_folders(names) == frozenset()
    shards = [name for name in names if name.endswith((".jsonl", ".json.gz"))]
    assert not set(shards) & set(left_out_by_name(names))


def test_a_plan_takes_no_object_of_a_corpus_version_and_none_in_a_hidden_folder() -> None:
    keys = [*(f"raw/old/{file}" for file in VERSION), "raw/.git/a.jsonl", "raw/a.jsonl"]
    objects = [ObjectStat(f"s3://bucket/{key}", 1, "etag") for key in keys]
    assert [shard.uri for shard in split_inputs(objects, "raw/").shards] == ["s3://bucket/raw/a.jsonl"]


def test_hidden_folders_count_below_the_source_alone() -> None:
    names = ["home/.cache/hub/a.jsonl", "home/.cache/hub/.git/b.jsonl"]
    assert left_out_by_name(names, "home/.cache/hub/") == {names[1]: "in a hidden folder"}


@pytest.mark.parametrize(
    ("file", "subset"),
    [
        ("ARXIV_SAMPLE.JSONL", "arxiv"),
        ("c4-train.00000-of-01024.json.gz", "c4"),
        ("c4-multilingual.jsonl", ""),
        ("arxiv_papers.jsonl", ""),
        ("bookshop.jsonl", ""),
        ("part-00000.parquet", ""),
    ],
)
def test_only_names_that_a_publisher_gives_name_a_subset(file: str, subset: str) -> None:
    assert published_subset(file) == subset


def test_signals_and_documents_that_an_extension_would_part_are_found() -> None:
    documents = "s3://b/documents/2023-06/0000/en_head.json.gz"
    signals = "s3://b/quality_signals/2023-06/0000/en_head.signals.json.gz"
    assert parted([signals], [documents]) == [signals]
    assert parted([documents], [signals]) == [documents]
    assert parted([documents, signals], []) == []
