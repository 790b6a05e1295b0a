from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.recipes.corpus import CorpusRecipe, TokenizerRecipe
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.jobs.build_corpus import build_corpus
from spark_jobs.readers.input_files import inputs_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data here")
def test_real_records_of_three_corpora_become_tokens_of_a_real_tokenizer(
    spark: SparkSession, tmp_path: Path, make_request: Callable[..., str]
) -> None:
    files = [
        uri for folder in ("pile", "redpajama", "ccnet") for uri in inputs_of(str(DATA / folder)).accepted
    ]
    shards = [Path(uri) for uri in files if not uri.endswith("/gutenberg.jsonl.zst")]
    recipe = CorpusRecipe(name="real", tokenizer=TokenizerRecipe(uri=str(DATA / "tokenizers/gpt-neo.json")))
    build_corpus(spark, make_request(tmp_path, shards, recipe))
    manifest = VersionLayout(str(tmp_path)).load_manifest()
    assert manifest is not None
    assert manifest.documents_in == 20 + 111 + 20
    assert set(manifest.dropped) <= {"filter", "exact_dedup", "near_dedup"}
    assert {"common-crawl", "pile", "arxiv", "c4"} <= manifest.subsets.keys()
    assert (manifest.vocabulary_size, manifest.token_dtype) == (50280, "uint16")
    # English text has some four bytes a token
    text_bytes = sum(subset.text_bytes for subset in manifest.subsets.values())
    assert 2 < text_bytes / manifest.tokens < 6
