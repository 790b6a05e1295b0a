"""Selection and batches."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.errors import InputError
from include.contracts.ingestion import Shard
from include.ingest.planning import absent, batches, selected, work_bytes


def shards(*sizes: int | None) -> list[Shard]:
    return [Shard(f"{i:05d}.jsonl", f"http://h/{i}", size) for i, size in enumerate(sizes)]


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 10**11)), max_size=80), st.integers(1, 20))
def test_batches_hold_every_shard_once_and_are_balanced(sizes: list[int | None], most: int) -> None:
    given_shards = shards(*sizes)
    parts = batches(given_shards, most)
    assert sorted(s.name for part in parts for s in part) == [s.name for s in given_shards]
    assert len(parts) == min(most, len(given_shards))
    assert all(part and part == sorted(part, key=lambda s: s.name) for part in parts)
    loads = [sum(map(work_bytes, part)) for part in parts]
    if loads:
        assert max(loads) - min(loads) <= max(map(work_bytes, given_shards))


def test_a_glob_and_a_number_select() -> None:
    three = shards(1, 2, 3)
    assert [s.name for s in selected(three, "*", 2)] == ["00000.jsonl", "00001.jsonl"]
    assert [s.name for s in selected(three, "*2.jsonl", 0)] == ["00002.jsonl"]
    assert [s.name for s in selected(three, "*", 0, ["00001.jsonl", "*2*"])] == ["00000.jsonl"]


def test_a_selection_of_nothing_names_what_there_is() -> None:
    with pytest.raises(InputError, match=r"00000\.jsonl"):
        selected(shards(1), "train/*", 0)


def test_absent_is_what_is_not_there_or_of_another_size() -> None:
    four = shards(1, 2, None, None)
    there = {"00000.jsonl": 1, "00001.jsonl": 9, "00002.jsonl": 5}
    assert [s.name for s in absent(four, there)] == ["00001.jsonl", "00003.jsonl"]
