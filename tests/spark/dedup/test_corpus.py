from __future__ import annotations

import pytest

from include.recipes.corpus import CorpusRecipe
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup import corpus
from spark_jobs.dedup.corpus import Corpus


@pytest.mark.parametrize(
    ("bands", "known", "documents", "fits"),
    [(14, 0, 10, True), (14, 0, 11, False), (14, 4, 6, True), (14, 4, 7, False), (7, 0, 20, True)],
)
def test_one_task_decides_while_the_band_keys_of_base_and_version_fit(
    bands: int, known: int, documents: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "ONE_TASK_BYTES", 10 * 14 * 8)
    recipe = CorpusRecipe("test", near_dedup=NearDedupRecipe(bands=bands, rows=1))
    files = [CleanFile("a.parquet", 0, 0, documents - 1, 0), CleanFile("b.parquet", 0, 1, 1, 0)]
    assert Corpus(VersionLayout("/none"), recipe, files, known=known).fits_one_task is fits
