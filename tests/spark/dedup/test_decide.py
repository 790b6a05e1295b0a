"""Decisions in one task and in many, with and without verification."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from include.recipes.corpus import CorpusRecipe, FilterRecipe, HeldOutRecipe
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout, load_records
from spark_jobs.dedup.corpus import Corpus
from spark_jobs.dedup.decide import Decided, DedupTasks, decide
from spark_jobs.dedup.decisions import read_decisions
from spark_jobs.jobs.clean import clean

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
    """Six chains, forty texts on their own and some exact copies, with their signatures."""
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
    rows = [read_decisions(corpus.layout, f.part, f.file).to_pylist() for f in corpus.files]
    return [row for found in rows for row in found if row["kept"] is not None]


def bigrams(text: str) -> set[tuple[str, str]]:
    words = text.split()
    return set(pairwise(words))


def similar(left: str, right: str) -> float:
    one, other = bigrams(left), bigrams(right)
    return len(one & other) / len(one | other)


def with_recipe(corpus: Corpus, **near_dedup: Any) -> Corpus:
    return replace(corpus, recipe=replace(RECIPE, near_dedup=replace(NEAR, **near_dedup)))


def test_verified_nothing_is_dropped_for_a_document_that_it_is_not_like(
    spark: SparkSession, chains: Corpus
) -> None:
    decided = decide(spark, chains)
    texts, rows = texts_of(chains), decisions(chains)
    near = [row for row in rows if row["stage"] == "near_dedup"]
    assert len(near) > 25 and decided.exact == 10
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
    decide(spark, with_recipe(chains, verify=False))
    texts, rows = texts_of(chains), decisions(chains)
    assert min(similar(texts[row["doc"]], texts[row["kept"]]) for row in rows) < 0.3


@pytest.mark.parametrize("verify", [True, False])
def test_many_tasks_decide_as_one_does(verify: bool, spark: SparkSession, chains: Corpus) -> None:
    corpus = with_recipe(chains, verify=verify)
    one = decide(spark, corpus, DedupTasks.ONE)
    rows = decisions(chains)
    assert decide(spark, corpus, DedupTasks.MANY) == one
    assert decisions(chains) == rows


@pytest.mark.parametrize("tasks", [DedupTasks.ONE, DedupTasks.MANY])
def test_documents_that_wait_after_the_last_round_are_kept_and_counted(
    tasks: DedupTasks,
    spark: SparkSession,
    chains: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = decide(spark, chains, tasks).verification
    dropped = len(decisions(chains))
    assert whole and whole.rounds > 1 and not whole.unsettled
    monkeypatch.setattr("spark_jobs.dedup.verification.MAX_ROUNDS", 1)
    cut = decide(spark, chains, tasks).verification
    assert 10 < len(decisions(chains)) < dropped
    assert cut and cut.unsettled > 0
    assert f"warning: verify: after 1 rounds {cut.unsettled} documents" in capsys.readouterr().out


def test_star_rounds_find_the_clusters_of_union_find(
    spark: SparkSession, chains: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = with_recipe(chains, verify=False)
    one = decide(spark, corpus, DedupTasks.ONE)
    rows = decisions(chains)
    monkeypatch.setattr("spark_jobs.dedup.components.EDGES_IN_ONE_TASK", 0)
    assert decide(spark, corpus, DedupTasks.MANY) == one
    assert decisions(chains) == rows


def test_a_version_without_documents_has_no_duplicates(tmp_path: Path) -> None:
    empty: Any = SimpleNamespace(files=[], layout=VersionLayout(str(tmp_path)))
    spark: Any = None  # nothing is left for a task
    assert decide(spark, empty) == Decided(exact=0, clusters=0, verification=None, not_compared=0)
