from __future__ import annotations

import json
from datetime import date, datetime, time
from typing import Any

import pytest

from include.contracts.documents import DropReason, RepairReason
from spark_jobs.readers.records import Fields, fields_of
from spark_jobs.readers.salvage import Salvaged
from spark_jobs.readers.subsets import ShardNames

NAMES = ShardNames("folder", "stem")


def document(record: Any) -> Fields:
    fields = fields_of(record, NAMES)
    assert isinstance(fields, Fields)
    return fields


@pytest.mark.parametrize("key", ["text", "raw_content", "content"])
def test_everything_but_the_text_is_metadata(key: str) -> None:
    rest = {"id": 2**63, "nested": {"ü": [1.5, None, True]}}
    fields = document({key: "t", **rest})
    assert fields.text == "t"
    assert json.loads(fields.metadata) == rest
    assert not fields.repairs


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"text": None, "content": "c"}, "c"),
        ({"text": "", "raw_content": 5, "content": "c"}, "c"),
        ({"text": ["list"], "raw_content": "r", "content": "c"}, "r"),
        ({"content": "c", "text": "t"}, "t"),
    ],
)
def test_the_first_key_with_a_text_counts(record: dict[str, Any], text: str) -> None:
    assert document(record).text == text


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([1], DropReason.UNKNOWN_SCHEMA),
        ("text", DropReason.UNKNOWN_SCHEMA),
        ({"body": "t"}, DropReason.UNKNOWN_SCHEMA),
        ({"text": None}, DropReason.NO_TEXT),
        ({"text": ""}, DropReason.NO_TEXT),
        ({"text": 5}, DropReason.NO_TEXT),
        ({"text": None, "content": ""}, DropReason.NO_TEXT),
        (Salvaged({"text": "half \ud800"}), DropReason.INVALID_UTF8),
        (Salvaged([1]), DropReason.UNKNOWN_SCHEMA),
    ],
)
def test_what_is_no_document_has_its_reason(record: Any, reason: DropReason) -> None:
    assert fields_of(record, NAMES) is reason


def test_metadata_that_json_cannot_hold_is_repaired() -> None:
    fields = document(
        Salvaged({"text": "t", "a": "\ud800", "b": float("nan"), "c": 2**70}, {RepairReason.CONTROL})
    )
    assert json.loads(fields.metadata) == {"a": "\ufffd", "b": None, "c": 2**70}
    assert fields.repairs == {RepairReason.CONTROL, RepairReason.HALF_SURROGATE, RepairReason.NUMBER}


def test_metadata_is_written_alike_by_the_fast_and_the_exact_way() -> None:
    record = {"text": "t", "a": "é漢", "b": [1, 2.5, {"c": None}], "d": True}
    assert document(dict(record)).metadata == document(Salvaged(dict(record))).metadata


@pytest.mark.parametrize("levels", [400, 401, 2000, 100_000])
def test_a_value_nested_beyond_every_parser_is_null(levels: int) -> None:
    nested: Any = 1
    for level in range(levels):
        nested = [nested] if level % 2 else {"k": nested}
    fields = document({"text": "t", "deep": nested, "id": 7})
    is_kept = levels == 400
    assert fields.repairs == (frozenset() if is_kept else {RepairReason.NESTING})
    assert json.loads(fields.metadata) == {"deep": nested if is_kept else None, "id": 7}


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 100, True), ("a" * 101, False), ("漢" * 33, True), ("漢" * 34, False)]
)
def test_the_limit_is_on_bytes_of_utf8(text: str, fits: bool) -> None:
    assert isinstance(fields_of({"text": text}, NAMES, limit_bytes=100), Fields) == fits


@pytest.mark.parametrize("value", [datetime(2020, 1, 2, 3, 4, 5), date(2020, 1, 2), time(3, 4, 5, 6)])
def test_dates_are_written_alike_next_to_values_that_are_repaired(value: Any) -> None:
    fast, exact = (fields_of({"text": "t", "when": value, **more}, NAMES) for more in ({}, {"bad": "\ud800"}))
    assert isinstance(fast, Fields) and isinstance(exact, Fields)
    assert json.loads(exact.metadata)["when"] == json.loads(fast.metadata)["when"] == value.isoformat()
