"""Records of the tasks of clean that have written their files, so that no later run repeats them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from include.contracts.records import canonical_json
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.cleaning.chain import ChainCounts
from spark_jobs.cleaning.task import CleanFile, CleanPart, CleanTask, ShardCounts, clean_part
from spark_jobs.decontamination.filter import Contamination
from spark_jobs.filters.drops import Drops, Example
from spark_jobs.readers.counts import ReadCounts


def clean_once(task: CleanTask) -> CleanPart:
    """Run ``clean_part``, unless an earlier run of the same request has finished this part."""
    uri = join(task.layout.clean_parts, f"part-{task.part:05d}.json")
    if STORE.exists(uri):
        return part_of(json.loads(STORE.read(uri)))
    part = clean_part(task)
    STORE.write(uri, canonical_json(plain_part(part)))
    return part


def plain_part(part: CleanPart) -> dict[str, Any]:
    """Return the part as plain JSON values; ``part_of`` is the inverse."""
    return {
        "outcomes": [_plain_outcome(outcome) for outcome in part.outcomes],
        "files": part.files,
        "seconds": part.seconds,
        "subsets": part.subsets,
    }


def part_of(plain: dict[str, Any]) -> CleanPart:
    """Restore a part from the output of ``plain_part``."""
    outcomes = [_outcome(outcome) for outcome in plain["outcomes"]]
    files = [CleanFile(**file) for file in plain["files"]]
    return CleanPart(outcomes, files, plain["seconds"], plain["subsets"])


def _plain_outcome(outcome: ShardCounts) -> dict[str, Any]:
    read, chain = outcome.read, outcome.chain
    found = {name: {**vars(one), "items": sorted(one.items)} for name, one in chain.contamination.items()}
    dropped = {stage: _plain_drops(drops) for stage, drops in chain.dropped.items()}
    return {
        **vars(outcome),
        "read": {**vars(read), "dropped": _plain_drops(read.dropped)},
        "chain": {**vars(chain), "dropped": dropped, "contamination": found},
    }


def _outcome(plain: dict[str, Any]) -> ShardCounts:
    read, chain = plain["read"], plain["chain"]
    counts = {name: Counter(chain[name]) for name in ("left", "replaced")}
    found = {
        name: Contamination(**{**one, "items": set(one["items"])})
        for name, one in chain["contamination"].items()
    }
    dropped = {stage: _drops(drops) for stage, drops in chain["dropped"].items()}
    return ShardCounts(
        **{
            **plain,
            "read": ReadCounts(
                **{**read, "dropped": _drops(read["dropped"]), "repaired": Counter(read["repaired"])}
            ),
            "chain": ChainCounts(**{**chain, **counts, "dropped": dropped, "contamination": found}),
        }
    )


def _plain_drops(drops: Drops) -> dict[str, Any]:
    return {"counts": dict(drops), "examples": drops.examples}


def _drops(plain: dict[str, Any]) -> Drops:
    drops = Drops(plain["counts"])
    drops.examples = {
        reason: [Example(*one) for one in examples] for reason, examples in plain["examples"].items()
    }
    return drops
