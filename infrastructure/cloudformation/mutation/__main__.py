"""Breaks the templates on purpose and lists which rule notices each fault.

python -m infrastructure.cloudformation.mutation [--only TEXT] [--write FILE]

Ends with 1 if a fault is not noticed. ``--write`` writes the table of mutators, numbers and catchers.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from include.contracts.errors import NexusError
from infrastructure.cloudformation.environments import FOLDER, read_templates
from infrastructure.cloudformation.mutation.mutators import MUTATORS
from infrastructure.cloudformation.mutation.trial import Mutant, Trial, mutants


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every mutant is noticed."""
    parser = argparse.ArgumentParser(prog="infrastructure.cloudformation.mutation")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--only", default="", help="only mutators whose name contains this text")
    parser.add_argument("--write", type=Path, help="write the table to this file")
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments.folder, arguments.only, arguments.write)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(folder: Path, only: str, table: Path | None) -> int:
    templates = read_templates(folder)
    chosen = [mutator for mutator in MUTATORS if only in mutator.name]
    found = mutants(templates, chosen)

    def progress(done: int) -> None:
        if done % 20 == 0 or done == len(found):
            print(f"progress: {done}/{len(found)} mutants", file=sys.stderr, flush=True)

    caught = Trial(folder, templates).catchers(found, progress)
    text = _table(found, caught)
    print(text)
    if table:
        table.write_text(text)
    for index, mutant in enumerate(found):
        if index not in caught:
            print(f"not noticed: {mutant}")
    print(f"{len(found)} mutants: {len(caught)} noticed, {len(found) - len(caught)} not")
    return 0 if len(caught) == len(found) else 1


def _table(found: Sequence[Mutant], caught: dict[int, str]) -> str:
    """Return a table in Markdown: each mutator with the number of its mutants and what noticed them."""
    catchers: dict[str, Counter[str]] = defaultdict(Counter)
    for index, mutant in enumerate(found):
        catchers[mutant.mutator.name][caught.get(index, "**nothing**")] += 1
    lines = ["| fault | mutants | noticed by |", "|---|---|---|"]
    for name, counts in catchers.items():
        by = ", ".join(f"{rule} ({number})" for rule, number in counts.most_common())
        lines.append(f"| {name} | {counts.total()} | {by} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
