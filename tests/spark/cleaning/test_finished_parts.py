"""The record of a part of clean: what is read back is what was written."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from include.contracts.records import canonical_json
from spark_jobs.cleaning.chain import CHAIN, ChainCounts
from spark_jobs.cleaning.finished_parts import part_of, plain_part
from spark_jobs.cleaning.task import CleanFile, CleanPart, ShardCounts
from spark_jobs.decontamination.filter import Contamination
from spark_jobs.filters.drops import Drops, Example
from spark_jobs.readers.counts import ReadCounts

texts = st.text(st.characters(exclude_categories=["Cs"]))
counts = st.dictionaries(texts, st.integers(0, 2**40)).map(Counter)
sums = st.integers(0, 2**40)


@st.composite
def drops(draw: st.DrawFn) -> Drops:
    made = Drops(draw(counts))
    examples = st.lists(st.builds(Example, sums, texts), max_size=3)
    made.examples = draw(st.dictionaries(texts, examples, max_size=2))
    return made


contamination = st.builds(Contamination, sums, st.sets(sums), texts)
chains = st.builds(
    ChainCounts,
    left=counts,
    dropped=st.fixed_dictionaries({stage.value: drops() for stage in CHAIN}),
    replaced=counts,
    contamination=st.dictionaries(texts, contamination, max_size=2),
    seconds=st.fixed_dictionaries({stage.value: st.floats(0, 1e6) for stage in CHAIN}),
)
reads = st.builds(ReadCounts, texts, texts, sums, sums, drops(), counts, texts)
outcomes = st.builds(ShardCounts, texts, reads, sums, chains)
parts = st.builds(
    CleanPart,
    st.lists(outcomes, max_size=2),
    st.lists(st.builds(CleanFile, texts, sums, sums, sums, sums), max_size=2),
    st.floats(0, 1e6),
    st.lists(texts, max_size=3),
)


def examples_of(part: CleanPart) -> list[object]:
    """Drops compare as the counters that they are."""
    return [
        {
            stage: drops.examples
            for stage, drops in {"read": outcome.read.dropped, **outcome.chain.dropped}.items()
        }
        for outcome in part.outcomes
    ]


@given(parts)
def test_a_part_comes_back_as_it_was(part: CleanPart) -> None:
    again = part_of(json.loads(canonical_json(plain_part(part))))
    assert again == part
    assert examples_of(again) == examples_of(part)
