"""Rounds of verification: which document a dropped one is similar to, and how many rounds a bucket takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.recipes.corpus import CorpusRecipe
from include.recipes.near_dedup import NearDedupRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup import verification
from spark_jobs.dedup.corpus import Corpus
from spark_jobs.dedup.exact_duplicates import (
    PAIR_SCHEMA,
    compare_texts,
    save_exact_duplicates,
    send_texts,
)
from spark_jobs.dedup.exchange import Inbox, run_in_process
from spark_jobs.dedup.signatures import SIGNATURE_SCHEMA
from spark_jobs.dedup.verification_rounds import SIMILARITY_SCHEMA, Round, verified

SHARD = 1 << 36


def test_a_verified_document_is_dropped_for_the_most_similar_one_and_the_first_of_those() -> None:
    alike = [(7, 3, 0.8), (7, 2, 0.9), (7, 4, 0.9), (7, 1, 0.7), (9, 4, 1.0)]
    inbox = Inbox()
    for rows in (alike[:2], alike[2:]):
        columns = [dict(zip(SIMILARITY_SCHEMA.names, row, strict=True)) for row in rows]
        inbox.add("alike", pa.Table.from_pylist(columns, SIMILARITY_SCHEMA))
    dropped = verified(inbox)
    assert dropped.select(["doc", "kept"]).to_pydict() == {"doc": [7, 9], "kept": [2, 4]}
    assert dropped.column("similarity").to_pylist() == pytest.approx([0.9, 1.0])


def test_a_bucket_of_the_base_alone_takes_few_rounds(tmp_path: Path) -> None:
    rows = [
        {"doc": doc, "part": 0, "file": 0, "characters": 9, "text_low": doc, "text_high": 0, "id_hash": 0,
         "subset": "s", "ngrams": 1, "minhash": [0], "bands": [5]}
        for doc in [*range(1000), SHARD]
    ]  # fmt: skip
    for name, part in (("index/part-00000.parquet", rows[:-1]), ("work/signatures/new.parquet", rows[-1:])):
        (tmp_path / name).parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(part, schema=SIGNATURE_SCHEMA), tmp_path / name)
    recipe = CorpusRecipe("test", near_dedup=NearDedupRecipe(bands=1, rows=1))
    files = [CleanFile("new.parquet", 0, 0, 1, 0)]
    partitions = Corpus(VersionLayout(str(tmp_path)), recipe, files, SHARD, 1000).one_partition()
    run = partial(run_in_process, 1)
    run("exact", [partial(send_texts, partitions), partial(compare_texts, partitions)],
        partial(save_exact_duplicates, partitions))  # fmt: skip
    compared = 0
    for number in range(11):  # 1 + 2 + 4 + … + 512
        size = verification.candidate_pairs(partitions, Round(number), run)
        compared += size.pairs
        pairs = partitions.saved(Round(number).pairs, 0, PAIR_SCHEMA)
        partitions.save(
            Round(number).compared, 0, pairs.append_column("similarity", pa.array([0.0] * len(pairs)))
        )
        if not size.pairs:
            break
    assert compared == 1000 and number == 10
