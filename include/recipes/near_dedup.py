"""Recipes of near dedup: MinHash LSH, with the published parameters of known corpora as named profiles."""

from __future__ import annotations

from dataclasses import dataclass

from include.recipes.loading import packaged_recipe, require

SHINGLES = ("word", "character")
#: Tables of ``spark_jobs.kernels.unicode_tables.folds``, by which texts are reduced before they are cut.
FOLDS = ("datatrove", "lower_case", "identifiers")


@dataclass(frozen=True)
class NearDedupRecipe:
    """Documents that agree in all ``rows`` minima of one of ``bands`` bands are near duplicates.

    A pair of Jaccard similarity s over its n-grams is found with probability 1 - (1 - s^rows)^bands. The
    defaults are the profile ``fineweb``.
    """

    #: Units (words or characters) of one n-gram.
    ngram: int = 5
    #: Unit of the n-grams.
    shingle: str = "word"
    #: Table by which a text is folded before it is cut into n-grams.
    fold: str = "datatrove"
    #: A document of fewer words (or characters) is never a near duplicate. One of fewer than ``ngram`` that
    #: has this many is compared as a whole.
    min_units: int = 1
    #: Bands of a signature; documents that agree in one are candidates.
    bands: int = 14
    #: Minima per band.
    rows: int = 8
    #: Seed of the hash functions.
    seed: int = 1
    #: The Jaccard similarity that the source means by a near duplicate; nothing is dropped by it alone.
    threshold: float = 0.75
    #: Compare the n-grams of both documents, and drop only what is at least ``threshold`` similar to the one
    #: that is kept. Without it a chain of neighbours is one cluster, however far its ends are apart.
    verify: bool = False

    def __post_init__(self) -> None:
        require(1 <= self.ngram <= 64, "near_dedup.ngram", "1 to 64", self.ngram)
        require(self.shingle in SHINGLES, "near_dedup.shingle", " or ".join(SHINGLES), self.shingle)
        require(self.fold in FOLDS, "near_dedup.fold", f"one of {', '.join(FOLDS)}", self.fold)
        require(
            self.shingle == "word" or self.fold == "lower_case",
            "near_dedup.fold",
            "lower_case with near_dedup.shingle character",
            self.fold,
        )
        require(self.min_units >= 1, "near_dedup.min_units", "at least 1", self.min_units)
        require(1 <= self.bands <= 256, "near_dedup.bands", "1 to 256", self.bands)
        require(1 <= self.rows <= 64, "near_dedup.rows", "1 to 64", self.rows)
        require(0 < self.threshold <= 1, "near_dedup.threshold", "above 0, at most 1", self.threshold)


def profile(name: str) -> NearDedupRecipe:
    """Return the packaged profile ``name``; RecipeError lists the known ones."""
    return packaged_recipe(NearDedupRecipe, "near_dedup_profiles", name)
