from __future__ import annotations

from dataclasses import replace

import pytest

from include.contracts.manifests import ParentRef, RawShard
from include.recipes.corpus import CorpusRecipe, FilterRecipe
from include.recipes.corpus_version import corpus_version

A = RawShard("s3://raw-bucket/pile/a.jsonl.zst", 10, "e1")
B = RawShard("s3://raw-bucket/pile/b.jsonl", 20, "e2")
RECIPE = CorpusRecipe("standard")


def test_version_does_not_depend_on_the_order_of_shards() -> None:
    assert corpus_version([A, B], RECIPE, "s") == corpus_version([B, A], RECIPE, "s")


def test_version_is_readable_by_its_recipe() -> None:
    assert corpus_version([A], RECIPE, "s").startswith("standard-")


@pytest.mark.parametrize(
    "other",
    [
        corpus_version([A], RECIPE, "s"),
        corpus_version([A, replace(B, etag="e3")], RECIPE, "s"),
        corpus_version([A, B], CorpusRecipe("standard", filter=FilterRecipe(min_characters=1)), "s"),
        corpus_version([A, B], RECIPE, "other code"),
        corpus_version([A, B], RECIPE, "s", {"s3://b/tokenizer.json": "etag"}),
        corpus_version([A, B], RECIPE, "s", base=ParentRef("s3://b/manifest.json", "0" * 64)),
    ],
    ids=["inputs", "bytes of an input", "recipe", "code", "bytes of a file that the recipe names", "base"],
)
def test_version_changes_with_everything_that_decides_the_corpus(other: str) -> None:
    assert corpus_version([A, B], RECIPE, "s") != other
