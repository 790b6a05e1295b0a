"""Decisions in one task and by Spark's queries, with and without verification of what they drop."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from include.recipes.corpus import CorpusRecipe, FilterRecipe, HeldOutRecipe
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout, load_records
from spark_jobs.dedup.decide import Corpus, decide_in_one_task, decide_on_spark
from spark_jobs.dedup.one_task import Decided
from spark_jobs.jobs.clean import clean
from spark_jobs.runtime.tables import read_decided

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Buckets that neighbours of a chain share, and a threshold that its ends do not reach.
NEAR = NearDedupRecipe(ngram=2, bands=20, rows=2, threshold=0.7, verify=True)
RECIPE = CorpusRecipe(
    "test", filter=FilterRecipe(min_characters=1), near_dedup=NEAR, held_out=HeldOutRecipe(min_documents=0)
)
Draw = Callable[[random.Random, int], str]


def chain(generator: random.Random, draw: Draw, length: int) -> list[str]:
    """Texts of which each has three words other than the one before, and the last has little of the first."""
    words = draw(generator, 60).split()
    texts = [" ".join(words)]
    for _ in range(length - 1):
        for position in generator.sample(range(60), 3):
            words[position] = draw(generator, 1)
        texts.append(" ".join([*words, *["end"] * generator.randint(0, 2)]))
    generator.shuffle(texts)
    return texts


@pytest.fixture(scope="module")
def chains(
    spark: SparkSession,
    sentence: Draw,
    tmp_path_factory: pytest.TempPathFactory,
    write_shard: Any,
    make_request: Any,
) -> Corpus:
    """Six chains, forty texts on their own and some exact copies, read and signed."""
    generator, folder = random.Random(5), tmp_path_factory.mktemp("chains")
    texts = [text for _ in range(6) for text in chain(generator, sentence, 12)]
    texts += [sentence(generator, 60) for _ in range(40)] + texts[:10]
    generator.shuffle(texts)
    shards = [
        write_shard(folder / f"{name}.jsonl", [{"text": text} for text in texts[start::2]])
        for start, name in enumerate("ab")
    ]
    clean(spark, make_request(folder / "corpus", shards, RECIPE))
    layout = VersionLayout(str(folder / "corpus"))
    return Corpus(layout, RECIPE, load_records(CleanFile, layout.clean_index))


def texts_of(corpus: Corpus) -> dict[int, str]:
    uris = [f"{corpus.layout.clean}/{file.name}" for file in corpus.files]
    tables = [pq.read_table(uri, columns=["doc", "text"]) for uri in uris]
    return {row["doc"]: row["text"] for table in tables for row in table.to_pylist()}


def decisions(corpus: Corpus) -> list[dict[str, Any]]:
    rows = [read_decided(corpus.layout.decisions, f.part, f.file).to_pylist() for f in corpus.files]
    return [row for found in rows for row in found if row["kept"] is not None]


def bigrams(text: str) -> set[tuple[str, str]]:
    words = text.split()
    return set(pairwise(words))


def similar(left: str, right: str) -> float:
    one, other = bigrams(left), bigrams(right)
    return len(one & other) / len(one | other)


def cleared(corpus: Corpus, **near_dedup: Any) -> Corpus:
    """The corpus with nothing decided."""
    from include.object_store import STORE

    for folder in (corpus.layout.near_dedup, corpus.layout.decisions):
        STORE.delete_folder(folder)
    return replace(corpus, recipe=replace(RECIPE, near_dedup=replace(NEAR, **near_dedup)))


def test_verified_nothing_is_dropped_for_a_document_that_it_is_not_like(
    spark: SparkSession, chains: Corpus
) -> None:
    decided = decide_in_one_task(spark, cleared(chains))
    texts, rows = texts_of(chains), decisions(chains)
    near = [row for row in rows if row["stage"] == "near_dedup"]
    assert len(near) == decided.near > 25 and decided.exact == 10
    for row in near:
        true = similar(texts[row["doc"]], texts[row["kept"]])
        assert true >= 0.7 and row["similarity"] == pytest.approx(true)
    # and of what stays nothing is like another, as far as buckets brought them together: here all did
    stays = sorted(set(texts) - {row["doc"] for row in rows})
    alike = [(a, b) for a in stays for b in stays if a < b and similar(texts[a], texts[b]) >= 0.7]
    assert not alike


def test_unverified_a_chain_drops_documents_that_are_like_nothing_kept(
    spark: SparkSession, chains: Corpus
) -> None:
    decide_in_one_task(spark, cleared(chains, verify=False))
    texts, rows = texts_of(chains), decisions(chains)
    assert min(similar(texts[row["doc"]], texts[row["kept"]]) for row in rows) < 0.3


def test_spark_verifies_as_one_task_does(spark: SparkSession, chains: Corpus) -> None:
    one = decide_in_one_task(spark, cleared(chains))
    rows = decisions(chains)
    by_spark = decide_on_spark(spark, cleared(chains))
    assert decisions(chains) == rows
    assert (by_spark.exact, by_spark.near) == (one.exact, one.near)


@pytest.mark.parametrize("decide", [decide_in_one_task, decide_on_spark])
def test_what_waits_after_the_last_round_is_kept_and_counted(
    decide: Callable[[SparkSession, Corpus], Decided],
    spark: SparkSession,
    chains: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = decide(spark, cleared(chains))
    assert whole.verified and whole.verified.rounds > 1 and not whole.verified.unsettled
    monkeypatch.setattr("spark_jobs.dedup.decide.LIMIT", 1)
    cut = decide(spark, cleared(chains))
    assert 0 < cut.near < whole.near
    assert cut.verified and cut.verified.unsettled > 0
    assert f"warning: verify: after 1 rounds {cut.verified.unsettled} documents" in capsys.readouterr().out


def test_what_a_killed_run_left_in_the_way_is_replaced(spark: SparkSession, chains: Corpus) -> None:
    expected = decide_on_spark(spark, cleared(chains))
    rows = decisions(chains)
    assert decide_on_spark(spark, chains) == expected  # nothing was cleared
    assert decisions(chains) == rows
