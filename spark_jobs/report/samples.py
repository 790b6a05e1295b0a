"""Examples of what was dropped, and the shapes of optional files of a corpus version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from include.contracts.errors import ContractError
from include.contracts.manifests import StageReport
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout

#: Characters of a text that the page shows.
SHOWN_CHARACTERS = 300

_EXAMPLES_PER_REASON = 5
_CONTAMINATED = "contaminated:"


@dataclass(frozen=True)
class Example:
    """A dropped document; of its text so much that one sees where it is cut."""

    id: str
    text: str


def dropped_examples(layout: VersionLayout) -> dict[str, dict[str, list[Example]]] | None:
    """By stage and reason out of ``work/examples.json``; None where the version has none."""
    uri = join(layout.root, "work", "examples.json")
    if not STORE.exists(uri):
        return None
    try:
        return {
            str(stage): {
                str(reason): [_example(one) for one in examples[:_EXAMPLES_PER_REASON]]
                for reason, examples in reasons.items()
            }
            for stage, reasons in json.loads(STORE.read(uri)).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(
            "not examples of dropped documents",
            where=uri,
            expected='{stage: {reason: [{"id": …, "text": …}]}}',
            got=f"{type(error).__name__}: {error}",
        ) from error


def _example(plain: dict[str, Any]) -> Example:
    return Example(str(plain["id"]), str(plain["text"])[: SHOWN_CHARACTERS + 1])


def contamination(report: StageReport) -> dict[str, int]:
    """Documents dropped by benchmark, the most first; a reason without a benchmark stands as it is."""
    dropped = {reason.removeprefix(_CONTAMINATED): count for reason, count in report.dropped.items()}
    return dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
