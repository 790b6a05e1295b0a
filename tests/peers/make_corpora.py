"""Corpora and their exports for the readers: ``make_corpora.py FOLDER``, in the environment of Spark.

``FOLDER/<dtype>/`` gets ``corpus``, ``mds`` and ``parquet``, all with both splits. ``int32`` is the dtype
of a vocabulary above 65,536: the same tokenizer with more pieces, and its end of text behind them.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from include.recipes.corpus import CorpusRecipe, FilterRecipe, TokenizerRecipe
from spark_jobs.jobs.build_corpus import build_corpus, request_for
from spark_jobs.runtime.session import spark_session
from spark_jobs.tokens.export import export_tokens
from spark_jobs.tokens.export_task import Format, Split

#: Words a document: the lengths of its tokens take one, two and four bytes in MDS.
WORDS = (*range(1, 40), *range(100, 600, 5), 60_000)
SUBSETS = ("Wiki", "漢字 & code")
FILE_BYTES = 60_000
HIGH_ID = 70_000


def write_raw(folder: Path) -> None:
    generator = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyzäöü漢字😀"
    words = ["".join(generator.choices(letters, k=generator.randint(2, 7))) for _ in range(20_000)]
    folder.mkdir(parents=True)
    with (folder / "a.jsonl").open("w") as shard:
        for subset in SUBSETS:
            for count in WORDS:
                text = " ".join(generator.choices(words, k=count))
                shard.write(json.dumps({"text": text, "meta": {"pile_set_name": subset}}) + "\n")


def with_high_id(tokenizer: Path, target: Path) -> None:
    plain = json.loads(tokenizer.read_text())
    (added,) = plain["added_tokens"]
    vocabulary = plain["model"]["vocab"]
    vocabulary |= {f"<filler {number}>": number for number in range(len(vocabulary), HIGH_ID)}
    added["id"] = vocabulary[added["content"]] = HIGH_ID
    target.write_text(json.dumps(plain))


def main(folder: Path) -> None:
    """Build both corpora in one Spark session and export each to both formats."""
    write_raw(folder / "raw")
    spark = spark_session("peers")
    given = ""
    for dtype in ("uint16", "int32"):
        recipe = CorpusRecipe(
            name="peers",
            filter=FilterRecipe(min_characters=1, max_symbol_share=1.0, max_top_bigram_share=1.0),
            tokenizer=TokenizerRecipe(vocabulary_size=400, uri=given),
            shard_tokens=120_000,
        )
        corpus = folder / dtype / "corpus"
        build_corpus(spark, request_for(str(folder / "raw"), str(corpus), recipe))
        for target in Format:
            output = str(folder / dtype / target)
            export_tokens(spark, str(corpus), output, target, list(Split), FILE_BYTES)
        given = str(folder / "high.json")
        with_high_id(corpus / "tokenizer/tokenizer.json", Path(given))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
