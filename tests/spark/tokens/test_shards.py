from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.tokens.file_task import Segment
from spark_jobs.tokens.shards import plan_shards, subset_slugs

RUNS = st.lists(st.tuples(st.sampled_from(["A b", "a-b", "C"]), st.integers(1, 100)), max_size=30)


@given(RUNS)
def test_shards_hold_every_segment_in_order_within_their_limit(segments: list[tuple[str, int]]) -> None:
    made = [Segment(f"f{i:02}", subset, 0, 1, 0, tokens, 1) for i, (subset, tokens) in enumerate(segments)]
    plans = plan_shards("tokens", made, 100)
    for subset in {segment.subset for segment in made}:
        mine = [plan for plan in plans if plan.shard.subset == subset]
        assert [segment for plan in mine for segment in plan.segments] == [
            segment for segment in made if segment.subset == subset
        ]
        assert all(
            plan.shard.tokens == sum(segment.tokens for segment in plan.segments) <= 100 for plan in mine
        )
    names = [plan.shard.name for plan in plans]
    assert len(set(names)) == len(names)


def test_slugs_are_distinct_and_readable() -> None:
    slugs = subset_slugs(["PubMed Central", "Gutenberg (PG-19)", "A b", "a-b", "…", "漢字"])
    assert slugs["PubMed Central"] == "pubmed-central"
    assert slugs["Gutenberg (PG-19)"] == "gutenberg-pg-19"
    assert len(set(slugs.values())) == len(slugs)
