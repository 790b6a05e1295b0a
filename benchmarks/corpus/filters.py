"""Compare the filters of web_english with datatrove's on the same documents (`make bench-filters`).

python -m benchmarks.corpus.filters --input SHARDS --output FOLDER [--peer "PYTHON SCRIPT"] [--compared 2000]

Two whole processes run one after the other: ours (``filter_shards``), and the peer, called as
``PYTHON SCRIPT SHARDS FOLDER/peer``. Then each of datatrove's filters, run by the same PYTHON, decides alone
on ``--compared`` documents that are spread over the shards, and so does each of ours. Prints a table of
times, a table of agreement for each filter, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.corpus import datatrove_decisions
from benchmarks.corpus.dedup import Measured, measure, table
from benchmarks.corpus.filter_shards import shards_of
from include.recipes.corpus import NormaliseRecipe, ReadRecipe
from include.recipes.quality import WORD_RULES, C4Recipe, FineWebRecipe, GopherRecipe
from spark_jobs.cleaning.normalise import normalise
from spark_jobs.filters.c4 import rewrite_c4
from spark_jobs.filters.fineweb import keep_fineweb
from spark_jobs.filters.gopher import keep_gopher
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents

Filter = Callable[[pa.RecordBatch], pa.RecordBatch]

_REPETITION_OFF: dict[str, Any] = {
    "max_duplicate_line_share": 0.0,
    "max_duplicate_paragraph_share": 0.0,
    "max_duplicate_line_character_share": 0.0,
    "max_duplicate_paragraph_character_share": 0.0,
    "max_top_ngram_shares": (0.0,) * 3,
    "max_duplicate_ngram_shares": (0.0,) * 6,
}
_QUALITY_OFF: dict[str, Any] = {
    "min_words": 0,
    "max_words": 0,
    "min_mean_word_length": 0.0,
    "max_mean_word_length": 0.0,
    "max_symbol_word_ratio": 0.0,
    "max_bullet_line_share": 0.0,
    "max_ellipsis_line_share": 0.0,
    "min_alphabetic_word_share": 0.0,
    "min_stop_words": 0,
}


@dataclass(frozen=True)
class FilterAgreement:
    """Decisions of one filter of ours, with a rule for words, and of datatrove's on the same documents."""

    filter: str
    words: str
    documents: int
    kept_by_both: int
    kept_by_ours: int
    kept_by_peer: int

    @property
    def share(self) -> float:
        """Return the share of documents with the same decision."""
        return 1 - (self.kept_by_ours + self.kept_by_peer) / self.documents


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every process succeeded."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.filters", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--peer", default="", help="Python with datatrove, and a script of its filters")
    parser.add_argument(
        "--compared", type=int, default=2000, help="documents on which decisions are compared"
    )
    arguments = parser.parse_args(argv)
    shards, output = arguments.input, arguments.output
    output.mkdir(parents=True, exist_ok=True)
    module = [sys.executable, "-m", "benchmarks.corpus.filter_shards"]
    peer = shlex.split(arguments.peer)
    try:
        ours = measure([*module, "--input", shards, "--output", str(output / "ours")])
        others = {"peer": measure([*peer, shards, str(output / "peer")])} if peer else {}
        found = compare(shards, arguments.compared, peer[0], output) if peer and arguments.compared else []
    except subprocess.CalledProcessError as error:
        print(f"bench-filters: ended {error.returncode}: {shlex.join(error.cmd)}", file=sys.stderr)
        return 1
    print(table(ours, others))
    if found:
        print(agreement_table(found))
    print(json.dumps(line(ours, others, found), sort_keys=True))
    return 0


def compare(shards: str, limit: int, python: str, output: Path) -> list[FilterAgreement]:
    """Decide on documents by each filter alone, ours and datatrove's, and count the agreement."""
    texts = spread_texts(shards, limit)
    paths = output / "texts.jsonl", output / "decisions.jsonl"
    paths[0].write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    subprocess.run([python, datatrove_decisions.__file__, *map(str, paths)], check=True)
    theirs = [json.loads(decided) for decided in paths[1].read_text(encoding="utf-8").splitlines()]
    return [
        agreement(name, words, kept_rows(texts, keep), np.array([found[name] is None for found in theirs]))
        for name, words, keep in our_filters()
    ]


def spread_texts(shards: str, limit: int) -> list[str]:
    """Return normalised texts, evenly spread over all documents of the shards."""
    texts: list[str] = []
    for shard in shards_of(shards):
        for batch in read_documents(shard, ReadRecipe(), ReadCounts()):
            texts += normalise(batch, NormaliseRecipe(), Counter()).column("text").to_pylist()
    chosen = np.unique(np.linspace(0, len(texts) - 1, min(limit, len(texts))).round().astype(int))
    return [texts[position] for position in chosen]


def our_filters() -> list[tuple[str, str, Filter]]:
    """Return (name of datatrove's filter, rule for words, our filter) with the same bounds."""
    found: list[tuple[str, str, Filter]] = []
    for words in WORD_RULES:
        gopher = GopherRecipe(enabled=True, words=words)
        for name, off in (("gopher_repetition", _QUALITY_OFF), ("gopher_quality", _REPETITION_OFF)):
            found.append((name, words, _applied(keep_gopher, replace(gopher, **off))))
        for share in (0.1, 0.01):
            recipe = FineWebRecipe(enabled=True, words=words, min_duplicate_character_share=share)
            found.append((f"fineweb_{share}", words, _applied(keep_fineweb, recipe)))
    c4 = C4Recipe(enabled=True, filter_no_terminal_punct=False)
    return [*found, ("c4", "whitespace", _applied(rewrite_c4, c4))]


def _applied(function: Callable[..., pa.RecordBatch], recipe: Any) -> Filter:
    return lambda batch: function(batch, recipe, Counter())


def kept_rows(texts: Sequence[str], keep: Filter) -> npt.NDArray[np.bool_]:
    """Return True for each text that a filter keeps."""
    batch = pa.record_batch({"row": pa.array(range(len(texts))), "text": pa.array(texts, pa.string())})
    kept = np.zeros(len(texts), np.bool_)
    kept[keep(batch).column("row").to_numpy()] = True
    return kept


def agreement(
    name: str, words: str, ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]
) -> FilterAgreement:
    """Count the documents that both keep, and those that one of the two keeps."""
    both, only_ours, only_theirs = ours & theirs, ours & ~theirs, theirs & ~ours
    return FilterAgreement(
        name, words, len(ours), int(both.sum()), int(only_ours.sum()), int(only_theirs.sum())
    )


def agreement_table(found: Sequence[FilterAgreement]) -> str:
    """Return a table with a row for each filter and rule for words."""
    columns = ("filter", "words", "documents", "both keep", "ours alone", "peer alone", "agreement")
    rows = ["{:<20}{:<12}{:>10}{:>11}{:>12}{:>12}{:>11}".format(*columns)]
    for one in sorted(found, key=lambda one: (one.filter, one.words)):
        rows.append(
            f"{one.filter:<20}{one.words:<12}{one.documents:>10}{one.kept_by_both:>11}"
            f"{one.kept_by_ours:>12}{one.kept_by_peer:>12}{100 * one.share:>9.2f} %"
        )
    return "\n".join(rows)


def line(ours: Measured, others: dict[str, Measured], found: Sequence[FilterAgreement]) -> dict[str, Any]:
    """Return the JSON line: figures of each process, and the agreement of each filter."""
    compared = {
        name: {**other.said, **other.plain, "ratio": round(other.seconds / ours.seconds, 2)}
        for name, other in others.items()
    }
    shares = {f"{one.filter} {one.words}": round(one.share, 5) for one in found}
    return {**ours.said, **ours.plain, **compared, "agreement": shares}


if __name__ == "__main__":
    raise SystemExit(main())
