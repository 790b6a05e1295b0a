from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.tokens.file_task import Run
from spark_jobs.tokens.shards import plan_shards, subset_slugs

RUNS = st.lists(st.tuples(st.sampled_from(["A b", "a-b", "C"]), st.integers(1, 100)), max_size=30)


@given(RUNS)
def test_shards_hold_every_run_in_order_within_their_limit(runs: list[tuple[str, int]]) -> None:
    made = [Run(f"f{i:02}", subset, 0, 1, 0, tokens, 1) for i, (subset, tokens) in enumerate(runs)]
    plans = plan_shards("tokens", made, 100)
    for subset in {run.subset for run in made}:
        mine = [plan for plan in plans if plan.shard.subset == subset]
        assert [run for plan in mine for run in plan.runs] == [run for run in made if run.subset == subset]
        assert all(plan.shard.tokens == sum(run.tokens for run in plan.runs) <= 100 for plan in mine)
    names = [plan.shard.name for plan in plans]
    assert len(set(names)) == len(names)


def test_slugs_are_distinct_and_readable() -> None:
    slugs = subset_slugs(["PubMed Central", "Gutenberg (PG-19)", "A b", "a-b", "…", "漢字"])
    assert slugs["PubMed Central"] == "pubmed-central"
    assert slugs["Gutenberg (PG-19)"] == "gutenberg-pg-19"
    assert len(set(slugs.values())) == len(slugs)
