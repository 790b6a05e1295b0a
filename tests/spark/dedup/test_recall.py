"""Pairs of known Jaccard similarity are found as often as the S-curve 1 - (1 - s^rows)^bands says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.documents import Stage
from include.recipes.corpus import CorpusRecipe, FilterRecipe
from include.recipes.near_dedup import NearDedupRecipe, profile
from spark_jobs.dedup.signatures import compute_signatures
from spark_jobs.jobs.build_corpus import build_corpus

PROFILES = ["fineweb", "slimpajama", "redpajama_v2", "bigcode"]
SIMILARITIES = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
#: Of a measured recall at most, in the tests of the signatures: so many pairs are drawn.
STANDARD_ERROR = 0.003
#: Pairs whose signatures are computed at once.
BATCH = 5_000
LETTERS = 6

Letters = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Planting:
    """Documents of random units, and the units that differ in their partners: every shingle is known."""

    recipe: NearDedupRecipe
    edited: tuple[int, ...]

    @classmethod
    def at_the_end(cls, recipe: NearDedupRecipe, similarity: float) -> Planting:
        """Partners begin with the same units and share none after these."""
        shingles = 20 * recipe.ngram
        lost = _lost(shingles, similarity)
        units = shingles + recipe.ngram - 1
        return cls(recipe, tuple(range(units - lost, units)))

    @classmethod
    def throughout(cls, recipe: NearDedupRecipe, similarity: float) -> Planting:
        """Single units differ, far enough from each other that each takes all the shingles that it can."""
        shingles, ngram = 20 * recipe.ngram, recipe.ngram
        edits, rest = divmod(_lost(shingles, similarity), ngram)
        spread = np.linspace(rest + ngram - 1, shingles - 1, edits + 2)[1:-1].round().astype(int)
        return cls(recipe, (*([rest - 1] if rest else []), *spread.tolist()))

    @property
    def units(self) -> int:
        """Words or characters of a document."""
        return 21 * self.recipe.ngram - 1

    @property
    def similarity(self) -> float:
        """The Jaccard similarity of partners: shingles are equal in place or nowhere."""
        starts = range(self.units - self.recipe.ngram + 1)
        lost = sum(any(s <= unit < s + self.recipe.ngram for unit in self.edited) for s in starts)
        return (len(starts) - lost) / (len(starts) + lost)

    @property
    def chance(self) -> float:
        """The probability that a pair is found."""
        return float(1 - (1 - self.similarity**self.recipe.rows) ** self.recipe.bands)

    def standard_error(self, pairs: int) -> float:
        """Return the standard error of a recall that is measured on ``pairs`` pairs."""
        return float(np.sqrt(self.chance * (1 - self.chance) / pairs))

    def pairs(self, generator: np.random.Generator, count: int) -> tuple[pa.StringArray, pa.StringArray]:
        """Generate the texts of ``count`` documents and of their partners."""
        words = self.recipe.shingle == "word"
        left = generator.integers(0, 26, (count, self.units, LETTERS if words else 1), np.uint8)
        right = left.copy()
        # a letter moves on by at least one: no edited unit is what it was
        right[:, self.edited, 0] += generator.integers(1, 26, (count, len(self.edited)), np.uint8)
        return _texts(left, words), _texts(right % 26, words)


def _lost(shingles: int, similarity: float) -> int:
    """Return how many of ``shingles`` two partners must not share for this similarity."""
    return round(shingles * (1 - similarity) / (1 + similarity))


def _texts(letters: Letters, words: bool) -> pa.StringArray:
    count, units, width = letters.shape
    content = np.full((count, units, width + words), ord(" "), np.uint8)
    content[:, :, :width] = letters + ord("a")
    rows = content.reshape(count, -1)[:, : -1 if words else None]
    offsets = np.arange(0, (count + 1) * rows.shape[1], rows.shape[1], dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows)))


def keys(texts: pa.StringArray, recipe: NearDedupRecipe) -> npt.NDArray[np.int64]:
    """Band keys (documents x bands)."""
    numbers = pa.array(np.arange(len(texts)))
    columns = {"doc": numbers, "id": numbers.cast(pa.string()), "text": texts}
    columns |= {"subset": numbers.cast(pa.string()), "characters": numbers}
    signatures = compute_signatures(pa.RecordBatch.from_pydict(columns), 0, 0, recipe)
    flat: npt.NDArray[np.int64] = signatures.column("bands").values.to_numpy()
    return flat.reshape(len(texts), recipe.bands)


def recall(planting: Planting, pairs: int, seed: int) -> float:
    """Return the share of pairs that agree in a band."""
    generator, found = np.random.default_rng(seed), 0
    for first in range(0, pairs, BATCH):
        left, right = planting.pairs(generator, min(BATCH, pairs - first))
        found += int((keys(left, planting.recipe) == keys(right, planting.recipe)).any(axis=1).sum())
    return found / pairs


def enough(planting: Planting, standard_error: float) -> int:
    """Pairs that measure a recall to within a standard error; some where nearly all or none are found."""
    return max(1000, round(planting.chance * (1 - planting.chance) / standard_error**2))


PLANTINGS: list[Callable[[NearDedupRecipe, float], Planting]] = [Planting.at_the_end, Planting.throughout]


@pytest.mark.parametrize("plant", PLANTINGS, ids=["at the end", "throughout"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("name", PROFILES)
def test_pairs_have_the_similarity_that_is_planted(
    name: str, similarity: float, plant: Callable[[NearDedupRecipe, float], Planting]
) -> None:
    planting = plant(profile(name), similarity)
    assert planting.similarity == pytest.approx(similarity, abs=0.01)
    for left, right in zip(*planting.pairs(np.random.default_rng(1), 5), strict=True):
        ours, theirs = (set(shingles(text.as_py(), planting.recipe)) for text in (left, right))
        assert len(ours & theirs) / len(ours | theirs) == planting.similarity


def shingles(text: str, recipe: NearDedupRecipe) -> Iterator[tuple[str, ...]]:
    """Return the n-grams of a text of lower-case letters and single blanks, which no profile changes."""
    units = text.split() if recipe.shingle == "word" else list(text)
    return zip(*(units[first:] for first in range(recipe.ngram)), strict=False)


@pytest.mark.parametrize("plant", PLANTINGS, ids=["at the end", "throughout"])
@pytest.mark.parametrize("name", PROFILES)
def test_recall_is_within_a_point_of_the_s_curve(
    name: str, plant: Callable[[NearDedupRecipe, float], Planting], record_property: Callable[..., None]
) -> None:
    for similarity in SIMILARITIES:
        planting = plant(profile(name), similarity)
        found = recall(planting, enough(planting, STANDARD_ERROR), seed=7)
        record_property(f"recall at {planting.similarity:.3f}", found)
        print(f"{name} at {planting.similarity:.3f}: found {found:.4f}, curve {planting.chance:.4f}")
        assert abs(found - planting.chance) <= 0.01, similarity


def test_partners_are_dropped_by_the_job_as_often_as_the_s_curve_says(
    spark: Any, tmp_path: Path, write_shard: Callable[..., Path], make_request: Callable[..., str]
) -> None:
    pairs, recipe = 2_000, profile("fineweb")
    plantings = [Planting.throughout(recipe, similarity) for similarity in (0.6, 0.7, 0.8)]
    shards = [
        write_shard(tmp_path / f"{number}/{side}.jsonl", [{"text": text} for text in texts.to_pylist()])
        for number, planting in enumerate(plantings)
        for side, texts in zip("ab", planting.pairs(np.random.default_rng(number), pairs), strict=True)
    ]
    keep_all = FilterRecipe(min_characters=1, max_duplicate_line_share=1, max_top_bigram_share=1)
    request = make_request(tmp_path / "out", shards, CorpusRecipe("t", filter=keep_all, near_dedup=recipe))
    build_corpus(spark, request, until=Stage.NEAR_DEDUP)
    dropped = {row["id"]: row["kept_id"] for row in pq.read_table(tmp_path / "out/duplicates").to_pylist()}
    # partners are as long, so the first of them is kept
    assert all(kept == one.replace("/b.", "/a.") for one, kept in dropped.items())
    for number, planting in enumerate(plantings):
        found = sum(one.startswith(f"{number}/b.") for one in dropped) / pairs
        # with 2,000 pairs the standard error is 1.1 points where the curve is steep
        assert abs(found - planting.chance) <= 0.01 + 2 * planting.standard_error(pairs), planting.similarity
