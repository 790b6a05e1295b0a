from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.documents import DropReason, RepairReason
from spark_jobs.readers.salvage import Salvaged, parsed, repaired, salvaged


def outcome(line: bytes) -> list[Any]:
    """Return the values, and the reasons for what is none."""
    return [one.value for one in salvaged(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"text": "a"}{"text": "b"}', [{"text": "a"}, {"text": "b"}]),
        (b'{"text": "a"} {"text": "}{"}\t{"text": "c"}', [{"text": "a"}, {"text": "}{"}, {"text": "c"}]),
        (b'{"text": "a"},\r', [{"text": "a"}]),
        (b'\xef\xbb\xbf{"text": "a"}', [{"text": "a"}]),
        (b'{"text": "a"}\xef\xbb\xbf{"text": "b"}', [{"text": "a"}, {"text": "b"}]),
        (b'\0\0\0{"text": "a"}', ["corrupt_shard", {"text": "a"}]),
        (
            b'{"text": "a"}\0\0{"text": "b"}\0',
            [{"text": "a"}, "corrupt_shard", {"text": "b"}, "corrupt_shard"],
        ),
        (b"\0\0\0\0", ["corrupt_shard"]),
        (b'{"text": "cut off{"text": "whole"}', ["invalid_json", {"text": "whole"}]),
        (b'{"text": "a", "meta": {"x": 1}', ["invalid_json"]),
        (b'{"text": "a"}}', [{"text": "a"}]),
        (b'{"text": "a"} trailing', [{"text": "a"}, "invalid_json"]),
        (b'{"a": 1}{"text": "\xff', [{"a": 1}, "invalid_utf8"]),
        (b"{'text': 'a'}", ["invalid_json"]),
        (b'{"n": ' + b"[" * 5000, ["invalid_json"]),
        (b"not json", ["invalid_json"]),
        (b"]", []),
    ],
)
def test_every_record_of_a_line_is_found(line: bytes, expected: list[Any]) -> None:
    assert outcome(line) == expected


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.floats(allow_nan=False)), min_size=2
    )
)
def test_any_records_without_a_line_end_between_them_are_found(records: list[dict[str, Any]]) -> None:
    assert outcome("".join(map(json.dumps, records)).encode()) == records


@pytest.mark.parametrize(
    ("content", "value", "repairs"),
    [
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}, {RepairReason.INVALID_UTF8}),
        (b'{"caf\xe9": 1}', {"caf\ufffd": 1}, {RepairReason.INVALID_UTF8}),
        (
            rb'{"a": ["half \ud83d", "\ud83d\ude00"]}',
            {"a": ["half \ufffd", "\U0001f600"]},
            {RepairReason.HALF_SURROGATE},
        ),
        (b'{"a": "\\udc80\xff"}', {"a": "\ufffd\ufffd"}, {RepairReason.INVALID_UTF8}),
        (
            b'{"a": "\\ud800\xff"}',
            {"a": "\ufffd\ufffd"},
            {RepairReason.INVALID_UTF8, RepairReason.HALF_SURROGATE},
        ),
        (b'{"a": NaN, "b": [-Infinity, 1e400]}', {"a": None, "b": [None, None]}, {RepairReason.NUMBER}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": None}, {RepairReason.NUMBER}),
        (b'{"a": 1180591620717411303424}', {"a": 2**70}, set()),
        (b'{"a": "tab\there"}', {"a": "tab\there"}, {RepairReason.CONTROL}),
    ],
)
def test_a_bad_value_is_repaired_and_its_reason_noted(
    content: bytes, value: Any, repairs: set[RepairReason]
) -> None:
    found = parsed(content)
    assert isinstance(found, Salvaged)
    reasons = set(found.repairs)
    assert repaired(found.value, reasons) == value
    assert reasons == repairs


def test_bytes_that_are_neither_json_nor_utf8_are_invalid_utf8() -> None:
    assert parsed(b'{"text": "\xff') is DropReason.INVALID_UTF8


def test_keys_that_become_the_same_keep_their_values() -> None:
    value = {chr(code): code for code in (0xD83D, 0xDC00, 0xFFFD)}
    assert list(repaired(value, set()).values()) == list(value.values())


@pytest.mark.parametrize("levels", [1000, 100_000])
@pytest.mark.parametrize(
    ("before", "after", "rest"),
    [
        (b'{"a": 1, "deep": ', b', "b": "]}"}', {"a": 1, "b": "]}"}),
        (b'{"a": "\\"[{", "deep": ', b"}", {"a": '"[{'}),
        (b'{"deep": ', b', "b": "raw \t tab"}', {"b": "raw \t tab"}),
        (b'{"deep": ["]", ', b'], "b": [[1]]}', {"b": [[1]]}),
    ],
)
def test_a_value_nested_beyond_the_parsers_costs_no_other(
    before: bytes, after: bytes, rest: dict[str, Any], levels: int
) -> None:
    found = parsed(before + b"[" * levels + b"]" * levels + after)
    assert isinstance(found, Salvaged)
    assert found.value == {**rest, "deep": None}
    assert RepairReason.NESTING in found.repairs
