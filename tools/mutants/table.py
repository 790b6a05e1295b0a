"""Print the results of mutation testing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tools.mutants.trial import Outcome, Result, Trial

#: At least this share of the mutants is to be noticed.
_GOAL = 28 / 30
_LONGEST_LINE = 90


def passes(trials: Sequence[Trial]) -> bool:
    """Return True if mutants were tried and at least 28 of 30 of them were noticed."""
    decided = [trial.decisive for trial in trials if trial.decisive]
    noticed = sum(result.outcome is Outcome.NOTICED for result in decided)
    return bool(decided) and noticed >= math.ceil(_GOAL * len(decided) - 1e-9)


def print_result(trial: Trial, decided: int, number: int) -> None:
    """Print the mutants of one module as soon as they are decided, and how many of all are."""
    for line in describe(trial):
        print(line, flush=True)
    print(f"           {decided} of {number} mutants decided", flush=True)


def describe(trial: Trial) -> Iterator[str]:
    """Yield three lines for each mutant: place and outcome, the source before and after."""
    for result in trial.results:
        yield f"{result.outcome:<10} {result.module}:{result.line} {result.operator} ({result.seconds:.0f} s)"
        yield f"           {_short(result.before)}  ->  {_short(result.after)}"
        yield f"           {_verb(result)} {result.by}"
    if trial.decisive is None:
        yield f"skipped    {trial.module}: no mutation breaks a behaviour"


def print_summary(trials: Sequence[Trial], seed: int) -> None:
    """Print counts, and the survivors once more."""
    results = [result for trial in trials for result in trial.results]
    survivors = [result for result in results if result.outcome is Outcome.SURVIVED]
    count = {outcome: sum(result.outcome is outcome for result in results) for outcome in Outcome}
    print(
        f"\nmutants: {count[Outcome.NOTICED]} noticed, {len(survivors)} survived,"
        f" {count[Outcome.EQUIVALENT]} equivalent and replaced; SEED={seed}"
    )
    for result in survivors:
        print(f"  {result.module}:{result.line}  {_short(result.before)}  ->  {_short(result.after)}")
    if not passes(trials):
        print("mutants: fewer than 28 of 30 were noticed; write a test for each survivor")


def _verb(result: Result) -> str:
    return {Outcome.NOTICED: "by", Outcome.SURVIVED: "no test noticed;", Outcome.EQUIVALENT: "because"}[
        result.outcome
    ]


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
