from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.compression import Damage
from spark_jobs.readers.pieces import Overlong, Torn
from spark_jobs.readers.values import split_values, whole_values

JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('{}[]",:\\ \n\r\tab\u00e9\U0001f600'), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=3), max_size=8)


def blocks_of(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def parsed(content: bytes, size: int, limit: int = 1 << 20) -> list[Any]:
    return [json.loads(piece) for piece in split_values(blocks_of(content, size), limit) if piece]  # type: ignore[arg-type]


@given(
    OBJECTS,
    st.sampled_from([None, 0, 1, 4]),
    st.sampled_from(["", " ", "\n", "\r\n", ",", ",\n"]),
    st.integers(1, 40),
)
def test_objects_are_found_whatever_separates_them(
    objects: list[dict[str, Any]], indent: int | None, between: str, size: int
) -> None:
    content = between.join(json.dumps(one, indent=indent) for one in objects).encode()
    assert parsed(content, size) == objects
    assert parsed(b"[" + content + b"]\n", size) == objects


def test_a_record_that_lacks_its_brace_costs_no_other() -> None:
    records = [json.dumps({"text": str(i), "meta": {"a": [i]}}, indent=2) for i in range(5)]
    records[2] = records[2][:-1]
    found = list(split_values(blocks_of("\n".join(records).encode(), 7), 1 << 20))
    assert [json.loads(piece)["text"] for piece in found if piece.endswith(b"}\n}")] == ["0", "1", "3", "4"]  # type: ignore[union-attr, arg-type]
    assert len(found) == 5


def test_a_record_that_lacks_its_brace_is_given_up_within_the_limit() -> None:
    records = [json.dumps({"text": str(i) * 30}, indent=2) for i in range(400)]
    records[2] = records[2][:-1]
    content = "[\n" + ",\n".join(records) + "\n]"
    found = list(split_values(blocks_of(content.encode(), 100), 1000))
    assert len(found) == 400
    assert not any(isinstance(piece, Overlong) for piece in found)


def test_a_string_that_is_not_closed_ends_with_its_line() -> None:
    content = b'[\n{"text": "cut off\n{"text": "good \\" {"},\n{"text": "also"}]'
    assert list(split_values(blocks_of(content, 3), 1000)) == [
        b'{"text": "cut off',
        b'{"text": "good \\" {"}',
        b'{"text": "also"}',
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_of_an_overlong_record_the_beginning_is_kept_and_the_next_is_found(size: int) -> None:
    long = b'{"text": "' + b'\\"{' * 1000 + b'", "rest": {}}'
    found = list(split_values(blocks_of(b'{"a": 1}' + long + b'{"b": 2}', size), 100))
    assert found[0] == b'{"a": 1}' and found[2] == b'{"b": 2}' and len(found) == 3
    assert isinstance(found[1], Overlong) and long.startswith(found[1])


def test_what_is_no_object_is_a_piece_of_its_own() -> None:
    found = list(split_values([b'{"a": 1} garbage {"b": 2}\nmore\n\0\0\0{"c": 3}}'], 100))
    assert found == [b'{"a": 1}', b"garbage", b'{"b": 2}', b"more", b"\0\0\0", b'{"c": 3}']


def test_the_record_before_damage_is_torn() -> None:
    found = list(split_values([b'{"a": 1}{"b": ', Damage("gone"), b'2}{"c": 3}'], 100))
    assert found == [b'{"a": 1}', b'{"b": ', Damage("gone"), b"2", b'{"c": 3}']
    assert isinstance(found[1], Torn)


def test_whole_values_are_told_from_what_follows_them() -> None:
    assert whole_values(b'{"a": "}"}{"b": 1} {"c') == ([b'{"a": "}"}', b'{"b": 1}'], b'{"c')
