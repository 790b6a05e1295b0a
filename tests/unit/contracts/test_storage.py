"""S3 URIs, and the keys that DAGs, jobs and the server agree on."""

from __future__ import annotations

from typing import Any

import pytest

from include.contracts.errors import ContractError
from include.contracts.storage import CorpusLayout, IngestionLayout, RunLayout, S3Uri


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://abc/a/b", "abc", "a/b"),
        ("s3://abc/", "abc", ""),
        ("s3://abc", "abc", ""),
        ("s3://a.b-c/x\ny", "a.b-c", "x\ny"),
        (f"s3://abc/{'ü' * 512}", "abc", "ü" * 512),
        (f"s3://{'a' * 63}/a..b", "a" * 63, "a..b"),
    ],
)
def test_a_uri_is_its_bucket_and_key(text: str, bucket: str, key: str) -> None:
    assert S3Uri.parse(text) == S3Uri(bucket, key)


@pytest.mark.parametrize(
    "text",
    ["", "abc/x", "s3:/abc/x", "S3://abc/x", "s3://ab/x", f"s3://{'a' * 64}/x", "s3://-abc/x", "s3://abc-/x",
     "s3://Abc/x", "s3:///x", "https://abc/x", "s3://abc/../x", "s3://abc/a/..", "s3://abc/a\0b",
     "s3://abc/\ud800", f"s3://abc/{'ü' * 512}x"],
)  # fmt: skip
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        S3Uri.parse(text)


@pytest.mark.parametrize(
    ("key", "name", "joined"),
    [("a", "b", "a/b"), ("a/", "b", "a/b"), ("", "b", "b"), ("a/", "b/", "a/b/"), ("a//", "b", "a/b")],
)
def test_a_name_is_joined_by_one_slash(key: str, name: str, joined: str) -> None:
    assert S3Uri("abc", key) / name == S3Uri("abc", joined)


@pytest.mark.parametrize(("key", "folder"), [("a", "a/"), ("a/", "a/"), ("a//", "a/"), ("", "")])
def test_a_folder_ends_in_one_slash(key: str, folder: str) -> None:
    assert S3Uri("abc", key).folder == S3Uri("abc", folder)
    assert str(S3Uri("abc", key)) == f"s3://abc/{key}"


def keys(layout: Any, **calls: tuple[Any, ...]) -> dict[str, str]:
    """Return every key of a layout: of its properties, and of its methods with the given arguments."""
    names = [name for name in vars(type(layout)) if not name.startswith("_") and name not in ("of", "bucket")]
    found = {}
    for name in names:
        value = getattr(layout, name)
        found[name] = str(value(*calls[name]) if name in calls else value)
    return found


def test_the_keys_of_a_corpus_version() -> None:
    layout = CorpusLayout.of("processed", "v1")
    root = "s3://processed/corpus/v1/"
    assert str(layout.root) == root
    found = keys(layout, stage_report=("read",), error=("clean",), announced=("dev",))
    assert {name: uri.removeprefix(root) for name, uri in found.items()} == {
        "request": "request.json",
        "stages": "stages/",
        "stage_report": "stages/read.json",
        "work": "work/",
        "error": "work/clean.error.json",
        "documents": "documents/",
        "held_out": "held_out/",
        "duplicates": "duplicates/",
        "index": "index/",
        "tokens": "tokens/",
        "held_out_tokens": "held_out_tokens/",
        "tokenizer": "tokenizer/",
        "report": "report.html",
        "claim": "claim.json",
        "announced": "announced/dev.json",
        "manifest": "manifest.json",
    }


def test_the_keys_of_a_training_run() -> None:
    layout = RunLayout.of("models", "r1")
    root = "s3://models/runs/r1/"
    assert str(layout.root) == root
    assert {name: uri.removeprefix(root) for name, uri in keys(layout).items()} == {
        "request": "training_request.json",
        "checkpoints": "checkpoints/",
        "cache": "cache/",
        "output": "output/",
        "model": "model/",
        "serving_models": "serving_models/",
        "training_report": "training_report.json",
        "evaluations": "evaluations/",
    }


def test_the_keys_of_an_ingestion_are_outside_of_the_prefixes_of_shards() -> None:
    target = S3Uri("raw", "pile/a.jsonl")
    found = keys(
        IngestionLayout("raw"),
        batch=("r", 7), reports=("r",), report=("r", 7), manifest=("r",),
        announced=("dev", S3Uri("raw", "pile")),
        staged=(target,), upload_record=(target,), quarantine=("the_pile", "a.jsonl"),
        note=("the_pile", "a.jsonl"),
    )  # fmt: skip
    assert {name: uri.removeprefix("s3://raw/") for name, uri in found.items()} == {
        "batch": "_ingestion/runs/r/batches/0007.json",
        "reports": "_ingestion/runs/r/reports/",
        "report": "_ingestion/runs/r/reports/0007.json",
        "manifest": "_ingestion/runs/r/manifest.json",
        "announced": "_ingestion/announced/dev/pile/shards.json",
        "staged": "_ingestion/staging/pile/a.jsonl",
        "upload_record": "_ingestion/progress/pile/a.jsonl.json",
        "quarantine": "quarantine/the_pile/a.jsonl",
        "note": "quarantine/the_pile/a.jsonl.why.json",
    }
