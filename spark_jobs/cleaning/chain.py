"""Runs the stages that process each document separately, from normalisation to scrubbing, in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import Stage
from include.recipes.corpus import CorpusRecipe
from include.recipes.decontamination import DecontaminateRecipe
from spark_jobs.cleaning.normalise import normalise
from spark_jobs.decontamination.filter import Contamination, decontaminate
from spark_jobs.decontamination.index import BenchmarkIndex, load_benchmarks
from spark_jobs.filters.basic import keep_good
from spark_jobs.filters.c4 import rewrite_c4
from spark_jobs.filters.drops import Drops
from spark_jobs.filters.fineweb import keep_fineweb
from spark_jobs.filters.gopher import keep_gopher
from spark_jobs.filters.language import keep_languages
from spark_jobs.filters.signals import keep_signals
from spark_jobs.scrubbing.scrub import scrub

#: The stages of the chain, in their order.
CHAIN = (Stage.NORMALISE, Stage.FILTER, Stage.DECONTAMINATE, Stage.SCRUB)


@dataclass
class ChainCounts:
    """Counts of the chain: kept and dropped documents, and findings, of each stage."""

    left: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Drops] = field(default_factory=lambda: {stage.value: Drops() for stage in CHAIN})
    #: Pieces of personal data by kind.
    replaced: Counter[str] = field(default_factory=Counter)
    #: By benchmark.
    contamination: dict[str, Contamination] = field(default_factory=dict)
    #: By stage.
    seconds: dict[str, float] = field(default_factory=lambda: {stage.value: 0.0 for stage in CHAIN})


def apply_chain(batch: pa.RecordBatch, recipe: CorpusRecipe, counts: ChainCounts) -> pa.RecordBatch:
    """Return the documents that pass all stages, with a column ``characters``. Add to ``counts``."""
    steps: dict[Stage, Callable[[pa.RecordBatch, Drops], pa.RecordBatch]] = {
        Stage.NORMALISE: lambda documents, dropped: normalise(documents, recipe.normalise, dropped),
        Stage.FILTER: lambda documents, dropped: apply_filters(documents, recipe, dropped),
        Stage.DECONTAMINATE: lambda documents, dropped: decontaminate(
            documents, benchmarks(recipe.decontaminate), recipe.decontaminate, dropped, counts.contamination
        ),
        Stage.SCRUB: lambda documents, _: _scrubbed(documents, recipe, counts.replaced),
    }
    for stage in CHAIN:
        started = time.monotonic()
        batch = steps[stage](batch, counts.dropped[stage.value])
        counts.seconds[stage.value] += time.monotonic() - started
        counts.left[stage.value] += batch.num_rows
    return batch


def apply_filters(batch: pa.RecordBatch, recipe: CorpusRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Apply the filters in FineWeb's order, cheap ones first. C4 rewrites text, so ``filter`` follows it."""
    batch = keep_signals(batch, recipe.signals, dropped)
    batch = keep_languages(batch, recipe.language, dropped)
    batch = keep_gopher(batch, recipe.gopher, dropped)
    batch = rewrite_c4(batch, recipe.c4, dropped)
    batch = keep_fineweb(batch, recipe.fineweb, dropped)
    return keep_good(batch, recipe.filter, dropped)


def _scrubbed(batch: pa.RecordBatch, recipe: CorpusRecipe, replaced: Counter[str]) -> pa.RecordBatch:
    scrubbed = scrub(batch, recipe.scrub, replaced)
    if scrubbed is batch:
        return batch
    characters = pc.utf8_length(scrubbed.column("text")).cast(pa.int64())
    return scrubbed.set_column(scrubbed.schema.get_field_index("characters"), "characters", characters)


@lru_cache(maxsize=2)
def benchmarks(recipe: DecontaminateRecipe) -> BenchmarkIndex:
    """Load the index of a recipe's benchmarks, once per process."""
    return load_benchmarks(recipe)
