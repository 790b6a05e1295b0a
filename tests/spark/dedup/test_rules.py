"""The decisions are those of the written rules, for every recipe and however the documents are divided."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe, HeldOutRecipe
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup import decide, held_out, verification
from spark_jobs.dedup.components import write_clusters_here
from spark_jobs.dedup.corpus import Corpus
from spark_jobs.dedup.decisions import read_decisions
from spark_jobs.dedup.exact_duplicates import (
    compare_texts,
    save_exact_duplicates,
    send_texts,
)
from spark_jobs.dedup.exchange import run_in_process
from spark_jobs.dedup.partitions import Partitions
from spark_jobs.dedup.signatures import SIGNATURE_SCHEMA
from spark_jobs.dedup.verification_rounds import SIMILARITY_SCHEMA, Round

Row = dict[str, Any]
Decision = tuple[int | None, float | None, str | None]
SHARD = 1 << 36


def text_of(row: Row) -> tuple[int, int]:
    return row["text_low"], row["text_high"]


@dataclass(frozen=True)
class Case:
    """A corpus of random signatures and what decides it."""

    seed: int
    files: tuple[int, ...]
    base_files: int
    partitions: int
    recipe: CorpusRecipe
    #: Values of the constants of the rule for held-out documents.
    subset_with_held_out: int
    one_in: int

    def rows(self) -> list[list[Row]]:
        """Draw the signatures of each file: with equal texts, shared bands and texts without n-grams."""
        draw = np.random.default_rng(self.seed)
        near = self.recipe.near_dedup
        total = sum(self.files)
        texts = [
            {
                "characters": int(draw.integers(200, 204)),
                "ngrams": int(draw.integers(0, 9)),
                "minhash": draw.integers(0, 3, near.bands * near.rows).tolist(),
                "bands": (draw.integers(0, 2 * total, near.bands) * near.bands + range(near.bands)).tolist(),
            }
            for _ in range(total)
        ]
        # Some documents have the same hash of their ids.
        hashes = [int(draw.integers(0, 2**63)) >> int(draw.integers(0, 4)) for _ in range(total)]
        files = []
        for file, count in enumerate(self.files):
            rows = []
            for row in range(count):
                text = int(draw.integers(0, total))
                rows.append(
                    {
                        "doc": file * SHARD + row,
                        "part": file // 2,
                        "file": file % 2,
                        # Neither half of the hash tells all texts apart.
                        "text_low": text // 2 * 7,
                        "text_high": text % 4,
                        "id_hash": hashes[draw.integers(0, total)],
                        "subset": str(draw.choice(["a", "b", "c"], p=[0.8, 0.15, 0.05])),
                        **texts[text],
                    }
                )
            files.append(rows)
        # A base holds what it kept: no text twice.
        seen: set[tuple[int, int]] = set()
        for rows in files[: self.base_files]:
            firsts = {text_of(row): row for row in reversed(rows) if text_of(row) not in seen}
            seen.update(firsts)
            rows[:] = [row for row in rows if firsts.get(text_of(row)) is row]
        return files

    @property
    def first_new(self) -> int:
        return self.base_files * SHARD


recipes = st.builds(
    CorpusRecipe,
    name=st.just("test"),
    near_dedup=st.builds(
        NearDedupRecipe,
        ngram=st.integers(1, 13),
        min_units=st.integers(1, 13),
        bands=st.integers(1, 5),
        rows=st.integers(1, 4),
        threshold=st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    ),
    held_out=st.builds(
        HeldOutRecipe,
        share=st.sampled_from([0.001, 0.05, 0.3, 0.49]),
        max_documents_per_subset=st.sampled_from([1, 2, 5, 200]),
        min_documents=st.sampled_from([0, 1, 8, 40]),
    ),
)
cases = st.builds(
    Case,
    seed=st.integers(0, 2**32),
    files=st.lists(st.integers(1, 40), min_size=3, max_size=5).map(tuple),
    base_files=st.integers(0, 2),
    partitions=st.integers(1, 5),
    recipe=recipes,
    subset_with_held_out=st.sampled_from([1, 5, 20]),
    one_in=st.sampled_from([1, 4, 10]),
)


def expected_exact(rows: list[Row]) -> dict[int, int]:
    """Return the document that has each text first."""
    first: dict[tuple[int, int], int] = {}
    return {row["doc"]: first.setdefault(text_of(row), row["doc"]) for row in rows}


def compared_rows(rows: list[Row]) -> list[Row]:
    firsts = expected_exact(rows)
    return [row for row in rows if row["ngrams"] and firsts[row["doc"]] == row["doc"]]


def in_order(rows: list[Row], first_new: int) -> list[Row]:
    """Sort by: the base first, then most characters, then the smallest number."""
    return sorted(rows, key=lambda row: (row["doc"] >= first_new, -row["characters"], row["doc"]))


def expected_clusters(rows: list[Row], first_new: int) -> dict[int, tuple[int, float]]:
    """Drop all new documents that chains of buckets connect but the first one."""
    ordered = in_order(compared_rows(rows), first_new)
    cluster = {row["doc"]: number for number, row in enumerate(ordered)}
    for left, right in itertools.combinations(ordered, 2):
        if set(left["bands"]) & set(right["bands"]):
            low, high = sorted((cluster[left["doc"]], cluster[right["doc"]]))
            cluster = {doc: low if number == high else number for doc, number in cluster.items()}
    dropped = {}
    for row in ordered:
        kept = ordered[cluster[row["doc"]]]
        if kept["doc"] != row["doc"] >= first_new:
            equal = np.mean(np.array(row["minhash"]) == np.array(kept["minhash"]))
            dropped[row["doc"]] = (kept["doc"], float(np.float32(equal)))
    return dropped


def similarity_of(case: Case, left: int, right: int) -> float:
    """Draw a similarity in tenths, so that some equal the threshold and some each other."""
    return int(np.random.default_rng([case.seed, *sorted((left, right))]).integers(0, 11)) / 10


def expected_verified(case: Case, rows: list[Row]) -> dict[int, tuple[int, float]]:
    """Keep a document, in the order of precedence, unless it is similar to one kept in its buckets."""
    stays: list[Row] = []
    dropped = set()
    for row in in_order(compared_rows(rows), case.first_new):
        near = [
            similarity_of(case, row["doc"], other["doc"])
            for other in stays
            if set(other["bands"]) & set(row["bands"])
        ]
        if row["doc"] < case.first_new or max(near, default=0) < case.recipe.near_dedup.threshold:
            stays.append(row)
        else:
            dropped.add(row["doc"])
    return dict.fromkeys(dropped, (-1, -1.0))


def expected_held_out(case: Case, kept: list[Row]) -> set[int]:
    recipe = case.recipe.held_out
    by_hash = sorted(kept, key=lambda row: (row["id_hash"], row["doc"]))
    smallest = min(recipe.min_documents, len(kept) // case.one_in)
    chosen_docs = {row["doc"] for row in by_hash[:smallest]}
    for subset, count in Counter(row["subset"] for row in kept).items():
        own = [row for row in by_hash if row["subset"] == subset]
        chosen = [row for row in own if row["id_hash"] < int(recipe.share * 2**63)]
        chosen = chosen[: recipe.max_documents_per_subset]
        if not chosen and count >= case.subset_with_held_out:
            chosen = own[:1]
        chosen_docs |= {row["doc"] for row in chosen}
    return chosen_docs


def expected(case: Case, rows: list[Row], near: dict[int, tuple[int, float]]) -> dict[int, Decision]:
    decisions: dict[int, Decision] = {doc: (*fate, "near_dedup") for doc, fate in near.items()}
    for doc, first in expected_exact(rows).items():
        if doc != first:
            decisions[doc] = (*near.get(first, (first, 1.0)), "exact_dedup")
    new = [row for row in rows if row["doc"] >= case.first_new]
    kept = [row for row in new if row["doc"] not in decisions]
    return decisions | dict.fromkeys(expected_held_out(case, kept), (None, None, None))


def corpus_of(case: Case, root: Path) -> Corpus:
    """Write the signatures: those of the base are its index."""
    clean = []
    for file, rows in enumerate(case.rows()):
        in_base = file < case.base_files
        if not rows:
            continue
        name = f"part-{file // 2:05d}-{file % 2:03d}.parquet"
        path = root / ("index" if in_base else "work/signatures") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=SIGNATURE_SCHEMA), path)
        if not in_base:
            clean.append(CleanFile(name, file // 2, file % 2, len(rows), 0))
    known = sum(len(rows) for rows in case.rows()[: case.base_files])
    return Corpus(VersionLayout(str(root)), case.recipe, clean, case.first_new, known)


def found(corpus: Corpus) -> dict[int, Decision]:
    rows = [row for f in corpus.files for row in read_decisions(corpus.layout, f.part, f.file).to_pylist()]
    return {row["doc"]: (row["kept"], row["similarity"], row["stage"]) for row in rows}


@contextmanager
def rule_of(case: Case) -> Iterator[None]:
    """Set the constants of the rule for held-out documents."""
    with patch.multiple(held_out, SUBSET_WITH_HELD_OUT=case.subset_with_held_out, ONE_IN=case.one_in):
        yield


def divided(case: Case, corpus: Corpus) -> Partitions:
    return corpus.one_partition() if case.partitions == 1 else corpus.several_partitions(case.partitions)


@given(cases)
@settings(max_examples=60)
def test_documents_are_decided_by_the_written_rules_in_any_number_of_partitions(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of(case, Path(folder))
        partitions = divided(case, corpus)
        run = partial(run_in_process, partitions.count)
        with rule_of(case):
            decided = decide._decide_estimated(partitions, run, partial(write_clusters_here, partitions))
        rows = [row for file in case.rows() for row in file]
        near = expected_clusters(rows, case.first_new)
        assert found(corpus) == expected(case, rows, near)
        assert decided.exact == sum(doc != first for doc, first in expected_exact(rows).items())
        assert decided.clusters == len({kept for kept, _ in near.values()})
        assert decided.not_compared == sum(not row["ngrams"] for row in rows if row["doc"] >= case.first_new)


def verify(case: Case, partitions: Partitions, run: Callable[..., Any]) -> int:
    """Run the rounds with similarities that are drawn instead of measured; the number of rounds."""
    for number in range(200):
        if not verification.candidate_pairs(partitions, Round(number), run).pairs:
            return number
        compared = [
            {"doc": doc, "kept": kept, "similarity": similarity_of(case, doc, kept)}
            for uri in STORE.uris(partitions.folder(Round(number).pairs))
            for doc, kept in zip(*pq.read_table(uri).to_pydict().values(), strict=True)
        ]
        partitions.save(Round(number).compared, 0, pa.Table.from_pylist(compared, schema=SIMILARITY_SCHEMA))
    raise AssertionError("the rounds do not end")


@given(cases)
@settings(max_examples=40)
def test_rounds_of_verification_decide_as_going_one_by_one_in_any_number_of_partitions(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of(case, Path(folder))
        partitions = divided(case, corpus)
        run = partial(run_in_process, partitions.count)
        steps = [partial(step, partitions) for step in (send_texts, compare_texts)]
        run("exact", steps, partial(save_exact_duplicates, partitions))
        rounds = verify(case, partitions, run)
        send = partial(decide._send_verified_and_copies, partitions, rounds)
        with rule_of(case):
            decide._settle(partitions, run, [send, partial(decide._settle_verified, partitions)])
        rows = [row for file in case.rows() for row in file]
        near = expected_verified(case, rows)
        decisions = found(corpus)
        fates = expected(case, rows, near)
        assert {doc: stage for doc, (_, _, stage) in decisions.items()} == {
            doc: stage for doc, (_, _, stage) in fates.items()
        }
        firsts = expected_exact(rows)
        for doc, (kept, similarity, stage) in decisions.items():
            assert kept not in decisions or decisions[kept][2] is None
            if stage == "near_dedup":
                assert kept is not None
                assert (
                    similarity
                    == np.float32(similarity_of(case, doc, kept))
                    >= np.float32(case.recipe.near_dedup.threshold)
                )
            elif stage == "exact_dedup":
                assert (kept, similarity) == decisions.get(firsts[doc], (None,))[:2] or kept == firsts[doc]
