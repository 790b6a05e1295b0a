from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.recipes.corpus import HeldOutRecipe
from spark_jobs.dedup.survivors import all_duplicates, estimated, held_out, near_duplicates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DOCUMENTS = "doc long, part int, file int, characters long, subset string, id_hash long"


def test_the_longest_stays_then_the_smallest_and_twins_follow_what_their_twin_became(
    spark: SparkSession,
) -> None:
    lengths = {1: 10, 2: 30, 3: 30, 4: 5, 5: 5, 6: 99}
    minima = {1: [1, 2, 3, 9], 2: [1, 2, 3, 4], 3: [1, 7, 7, 7], 4: [1, 1, 1, 1], 5: [1, 1, 1, 1], 6: [9] * 4}
    documents = spark.createDataFrame(
        [(d, 0, 0, n, "s", 0, minima[d]) for d, n in lengths.items()], f"{DOCUMENTS}, minhash array<int>"
    )
    components = spark.createDataFrame([(2, 1), (3, 1), (5, 4)], "doc long, root long")
    near = estimated(near_duplicates(components, documents), documents).persist()
    assert sorted(tuple(row) for row in near.collect()) == [(1, 2, 0.75), (3, 2, 0.25), (5, 4, 1.0)]
    exact = spark.createDataFrame([(11, 0, 0, 1), (16, 0, 0, 6)], "doc long, part int, file int, kept long")
    rows = all_duplicates(near, exact, documents).select("doc", "kept", "similarity", "stage").collect()
    assert sorted(tuple(row) for row in rows) == [
        (1, 2, 0.75, "near_dedup"),
        (3, 2, 0.25, "near_dedup"),
        (5, 4, 1.0, "near_dedup"),
        (11, 2, 0.75, "exact_dedup"),
        (16, 6, 1.0, "exact_dedup"),
    ]


def hashed(subset: str, start: int, shares: list[float]) -> list[tuple[int, int, int, int, str, int]]:
    return [(start + i, 0, 0, 1, subset, int(share * 2**63)) for i, share in enumerate(shares)]


@pytest.mark.parametrize("cap", [3, 100])
def test_held_out_documents_are_the_smallest_hashes_within_share_and_cap(
    cap: int, spark: SparkSession
) -> None:
    rows = [
        *hashed("large", 0, [i / 100 for i in range(100)]),
        *hashed("unlucky", 1000, [0.9 - i / 100 for i in range(20)]),
        *hashed("small", 2000, [0.5 + i / 100 for i in range(19)]),
    ]
    kept = spark.createDataFrame(rows, DOCUMENTS)
    recipe = HeldOutRecipe(share=0.1, max_documents_per_subset=cap, min_documents=0)
    chosen = held_out(kept, len(rows), recipe)
    # one of the unlucky subset, which has 20 documents but none within the share
    assert sorted(row.doc for row in chosen.collect()) == [*range(min(10, cap)), 1019]


@pytest.mark.parametrize(("documents", "expected"), [(40, 10), (200, 20)])
def test_a_small_corpus_holds_out_up_to_a_quarter_to_reach_the_minimum(
    documents: int, expected: int, spark: SparkSession
) -> None:
    kept = spark.createDataFrame(hashed("s", 0, [0.2 + i / 1000 for i in range(documents)]), DOCUMENTS)
    chosen = held_out(kept, documents, HeldOutRecipe(share=0.1, min_documents=20))
    assert sorted(row.doc for row in chosen.collect()) == list(range(expected))
