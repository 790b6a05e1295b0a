"""Records become the same bytes each time, and are read only if every field has its name and type."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from include.contracts.errors import ContractError, RecipeError
from include.contracts.records import (
    canonical_json,
    content_hash,
    from_plain,
    parse_json,
    require_portable,
    to_plain,
)


class Colour(enum.StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    """A record in a record."""

    size: int
    share: float = 0.5


@dataclass(frozen=True)
class Whole:
    """A record with a field of every kind."""

    name: str
    part: Part
    colour: Colour = Colour.RED
    parts: tuple[Part, ...] = ()
    maybe: int | None = None
    on: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    table: dict[str, Part] = field(default_factory=dict)
    loose: Any = None
    free: Mapping[str, float] = field(default_factory=dict)


PLAIN: dict[str, Any] = {
    "name": "ü", "part": {"size": 1, "share": 0.25}, "colour": "blue", "parts": [{"size": 2, "share": 1.0}],
    "maybe": 3, "on": True, "counts": {"a": 1}, "table": {"b": {"size": 4, "share": 0.5}}, "loose": [1, "x"],
    "free": {"c": 2.0},
}  # fmt: skip


def read(**changes: Any) -> Whole:
    return from_plain(Whole, PLAIN | changes, where="file")


def test_a_record_survives_its_plain_form_and_its_json() -> None:
    whole = read()
    assert to_plain(whole) == PLAIN
    assert (whole.parts, whole.colour) == ((Part(2, 1.0),), Colour.BLUE)
    assert parse_json(Whole, canonical_json(whole), where="file") == whole


def test_the_same_content_gives_the_same_bytes() -> None:
    text = canonical_json({"b": (1, 2), "a": "ü", "c": Colour.RED})
    assert text == '{\n "a": "ü",\n "b": [\n  1,\n  2\n ],\n "c": "red"\n}\n'.encode()
    assert canonical_json(dict(reversed(PLAIN.items()))) == canonical_json(PLAIN)
    assert content_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_field_with_a_default_may_lack() -> None:
    whole = from_plain(Whole, {"name": "n", "part": {"size": 1}}, where="file")
    assert whole == Whole("n", Part(1, 0.5))


def test_a_whole_number_is_a_number_and_null_is_nothing() -> None:
    share = read(part={"size": 1, "share": 1}).part.share
    assert (share, type(share)) == (1.0, float)
    assert read(maybe=None).maybe is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, r"file: name: wrong type; expected str; got 1 \(int\)"),
        ({"name": None}, "file: name: wrong type"),
        ({"part": {"size": 1.0}}, "file: part: size: wrong type; expected int"),
        ({"part": {"size": True}}, "file: part: size: wrong type; expected int"),
        ({"part": {"size": 1, "share": True}}, "file: part: share: wrong type; expected float"),
        ({"part": {"size": 1, "share": "1"}}, "share: wrong type"),
        ({"part": {"size": 1, "share": 10**400}}, "share: wrong type; expected float"),
        ({"part": {}}, "file: part: 'size' is missing"),
        ({"part": []}, "file: part: not a table; expected Part; got list"),
        ({"part": None}, "not a table"),
        ({"colour": "green"}, "file: colour: unknown choice; expected one of red, blue; got 'green'"),
        ({"parts": {}}, "file: parts: wrong type"),
        ({"parts": [{"size": 1}, {"size": "x"}]}, r"file: parts\[1\]: size: wrong type"),
        ({"maybe": "x"}, "file: maybe: wrong type; expected int"),
        ({"on": 1}, "file: on: wrong type; expected bool"),
        ({"counts": {"a": "x"}}, "file: counts.a: wrong type"),
        ({"counts": []}, "file: counts: wrong type"),
        ({"table": {"b": 1}}, "file: table.b: not a table"),
        ({"free": {"c": "x"}}, "file: free.c: wrong type"),
        ({"nmae": "x"}, "file: unknown key 'nmae'; expected one of colour, counts, free, loose, maybe"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read(**changes)


def test_the_caller_chooses_the_error() -> None:
    with pytest.raises(RecipeError):
        from_plain(Whole, {}, where="file", error=RecipeError)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", '{"a"', pytest.param("[" * 100_000, id="deep")])
def test_a_text_that_is_no_json_is_named(content: bytes | str) -> None:
    with pytest.raises(ContractError, match="file: not valid JSON"):
        parse_json(Whole, content, where="file")


def test_a_json_text_that_is_no_object_is_not_a_table() -> None:
    with pytest.raises(ContractError, match="file: not a table; expected Whole; got list"):
        parse_json(Whole, json.dumps([1]), where="file")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "place", "got"),
    [
        ("\ud800", "param", "'\\ud800'"),
        ({"a": ["x", {"b": "x\0"}]}, "param.a[1].b", "'x\\x00'"),
        ({"a": {"\udfff": 1}}, "param.a", "'\\udfff'"),
        ({"a": float("nan")}, "param.a", "nan"),
        ([float("-inf")], "param[0]", "-inf"),
        (2**64, "param", "a number of 65 bits"),
        ({"a": -(2**63) - 1}, "param.a", "a number of 64 bits"),
        (10**5000, "param", "a number of 16610 bits"),
        (nested(11), "param" + ".a[0]" * 10 + ".a", "list"),
        (nested(100_000), "param" + ".a[0]" * 10 + ".a", "list"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_value_that_json_or_aws_cannot_hold_is_named_by_its_place(value: Any, place: str, got: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        require_portable(value, "param", RecipeError)
    text = str(refusal.value)
    assert text.startswith(f"{place}: the value cannot be used; expected ") and text.endswith(f"got {got}")
    assert "\n" not in text and text.encode()


@pytest.mark.parametrize(
    "value",
    [None, True, "a\nb ☕ \U0001f600", 2**64 - 1, -(2**63), 1e308, {"a": [1, {"b": ()}]}, nested(10)],
    ids=range(8),
)
def test_any_other_value_is_portable(value: Any) -> None:
    require_portable(value, "param", RecipeError)
