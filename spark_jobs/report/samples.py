"""Examples of dropped documents, and the counts of contaminated documents by benchmark."""

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
class SampleDocument:
    """A dropped document with the beginning of its text, one character more than is shown."""

    id: str
    text: str


def dropped_examples(layout: VersionLayout) -> dict[str, dict[str, list[SampleDocument]]] | None:
    """Read the examples by stage and reason from ``work/examples.json``; None if there is no such file."""
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
            "the file does not hold examples of dropped documents",
            where=uri,
            expected='{stage: {reason: [{"id": …, "text": …}]}}',
            got=f"{type(error).__name__}: {error}",
        ) from error


def _example(plain: dict[str, Any]) -> SampleDocument:
    return SampleDocument(str(plain["id"]), str(plain["text"])[: SHOWN_CHARACTERS + 1])


def contamination(report: StageReport) -> dict[str, int]:
    """Return the dropped documents by benchmark, the most first. Other reasons keep their names."""
    dropped = {reason.removeprefix(_CONTAMINATED): count for reason, count in report.dropped.items()}
    return dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
