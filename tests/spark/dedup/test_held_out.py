from __future__ import annotations

import pyarrow as pa
import pytest

from include.recipes.corpus import HeldOutRecipe
from spark_jobs.dedup.held_out import CANDIDATE_SCHEMA, COUNT_SCHEMA, held_out, possible_candidates

Row = tuple[int, str, int]


def hashed(subset: str, start: int, shares: list[float]) -> list[Row]:
    return [(start + i, subset, int(share * 2**63)) for i, share in enumerate(shares)]


def chosen(rows: list[Row], recipe: HeldOutRecipe) -> list[int]:
    kept = pa.Table.from_pylist(
        [dict(zip(CANDIDATE_SCHEMA.names, row, strict=True)) for row in rows], CANDIDATE_SCHEMA
    )
    counts = kept.group_by("subset").aggregate([([], "count_all")]).rename_columns(COUNT_SCHEMA.names)
    docs: list[int] = held_out(kept, counts, recipe).column("doc").to_pylist()
    assert held_out(possible_candidates(kept, recipe), counts, recipe).column("doc").to_pylist() == docs
    return sorted(docs)


@pytest.mark.parametrize("cap", [3, 100])
def test_held_out_documents_are_the_smallest_hashes_within_share_and_cap(cap: int) -> None:
    rows = [
        *hashed("large", 0, [i / 100 for i in range(100)]),
        *hashed("unlucky", 1000, [0.9 - i / 100 for i in range(20)]),
        *hashed("small", 2000, [0.5 + i / 100 for i in range(19)]),
    ]
    recipe = HeldOutRecipe(share=0.1, max_documents_per_subset=cap, min_documents=0)
    # one of the unlucky subset, which has 20 documents but none within the share
    assert chosen(rows, recipe) == [*range(min(10, cap)), 1019]


@pytest.mark.parametrize(("documents", "expected"), [(40, 10), (200, 20)])
def test_a_small_corpus_holds_out_up_to_a_quarter_to_reach_the_minimum(documents: int, expected: int) -> None:
    rows = hashed("s", 0, [0.2 + i / 1000 for i in range(documents)])
    assert chosen(rows, HeldOutRecipe(share=0.1, min_documents=20)) == list(range(expected))
