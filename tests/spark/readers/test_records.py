from __future__ import annotations

import json
from typing import Any

import pytest

from include.contracts.documents import DropReason
from spark_jobs.readers.records import Fields, ShardNames, fields_of

NAMES = ShardNames("folder", "stem")


@pytest.mark.parametrize(
    ("record", "source", "subset"),
    [
        ({"text": "t", "meta": {"pile_set_name": "PubMed Central"}}, "pile", "PubMed Central"),
        ({"text": "t", "meta": {"redpajama_set_name": "RedPajamaC4"}}, "slimpajama", "RedPajamaC4"),
        ({"text": "t", "meta": {"url": "u"}, "red_pajama_subset": "arxiv"}, "redpajama_v1", "arxiv"),
        ({"text": "t", "meta": '{"url": "u"}', "red_pajama_subset": "c4"}, "redpajama_v1", "c4"),
        ({"raw_content": "t", "language": "en", "bucket": "head", "url": "u"}, "redpajama_v2", "en_head"),
        ({"id": "1", "text": "t", "source": "common-crawl", "metadata": {"a": 1}}, "dolma", "common-crawl"),
        ({"text": "t", "anything": 1}, "folder", "stem"),
        ({"content": "t"}, "folder", "stem"),
    ],
)
def test_every_schema_gives_source_and_subset(record: dict[str, Any], source: str, subset: str) -> None:
    rest = {key: value for key, value in record.items() if value != "t"}
    fields = fields_of(dict(record), NAMES)
    assert isinstance(fields, Fields)
    assert (fields.text, fields.source, fields.subset) == ("t", source, subset)
    assert json.loads(fields.metadata) == rest


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([1], DropReason.UNKNOWN_SCHEMA),
        ("text", DropReason.UNKNOWN_SCHEMA),
        ({"body": "t"}, DropReason.UNKNOWN_SCHEMA),
        ({"text": None}, DropReason.NO_TEXT),
        ({"text": ""}, DropReason.NO_TEXT),
        ({"text": 5}, DropReason.NO_TEXT),
    ],
)
def test_what_is_no_document_has_its_reason(record: Any, reason: DropReason) -> None:
    assert fields_of(record, NAMES) is reason


@pytest.mark.parametrize(
    ("name", "source", "subset"),
    [
        ("redpajama/arxiv.jsonl", "redpajama", "arxiv"),
        ("raw/c4/c4-train.00001-of-01024.json.gz", "raw", "c4-train"),
        ("pile/train/00.jsonl.zst", "pile", "train"),
        ("ccnet/cc_en_head-0091.jsonl", "ccnet", "cc_en_head"),
        ("books/part-00000.parquet", "books", "books"),
        ("00.jsonl", "local", "default"),
    ],
)
def test_names_say_what_records_do_not(name: str, source: str, subset: str) -> None:
    assert ShardNames.of(name) == ShardNames(source, subset)
