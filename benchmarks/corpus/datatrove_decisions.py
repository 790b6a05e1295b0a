"""Decide on each text by each of datatrove's filters alone, in the environment of datatrove.

PYTHON datatrove_decisions.py TEXTS DECISIONS

TEXTS has a JSON string on each line. DECISIONS gets a JSON object on each line: by filter, the reason for
which it drops the text, or null if it keeps it. `make bench-filters` compares these decisions with ours.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def filters() -> dict[str, Any]:
    """Return datatrove's filters by name, as FineWeb ran them; FineWeb's own also with the paper's bound."""
    module = importlib.import_module("datatrove.pipeline.filters")
    return {
        "gopher_repetition": module.GopherRepetitionFilter(),
        "gopher_quality": module.GopherQualityFilter(),
        "c4": module.C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb_0.1": module.FineWebQualityFilter(char_duplicates_ratio=0.1),
        "fineweb_0.01": module.FineWebQualityFilter(char_duplicates_ratio=0.01),
    }


def decisions(texts: Iterator[str]) -> Iterator[dict[str, str | None]]:
    """Yield the decisions of all filters on each text."""
    document = importlib.import_module("datatrove.data").Document
    known = filters()
    for text in texts:
        found = {}
        for name, one in known.items():
            outcome = one.filter(document(text=text, id=""))
            found[name] = None if outcome is True else str(outcome[1]) if outcome else "dropped"
        yield found


def main(texts: str, target: str) -> None:
    """Write a line of decisions for each line of texts."""
    with Path(texts).open(encoding="utf-8") as lines, Path(target).open("w", encoding="utf-8") as file:
        for found in decisions(json.loads(line) for line in lines):
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
