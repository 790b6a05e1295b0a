"""Break one behaviour of a module and find out which test notices."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tools.mutants import equivalent
from tools.mutants.checkout import Checkout, TestRun
from tools.mutants.equivalent import Judgement
from tools.mutants.sites import Mutant, apply, places
from tools.mutants.suites import levels

#: A test that fails also without the mutation is left out, and the run is repeated, this often per level.
_UNRELATED_FAILURES = 4
#: Seconds for one test. Every test of the suites needs less.
_TEST_SECONDS = 150


class Outcome(StrEnum):
    """The result of the trial of one mutant."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"


@dataclass(frozen=True)
class Result:
    """One mutant: place, change and outcome. ``by`` is the test that noticed it, or the reason."""

    module: str
    line: int
    operator: str
    before: str
    after: str
    outcome: Outcome
    by: str
    seconds: float = 0.0


@dataclass
class Trial:
    """The trial of one module: the mutants that were tried, the last of them decisive."""

    module: str
    results: list[Result] = field(default_factory=list)

    @property
    def decisive(self) -> Result | None:
        """The result that counts, or None if the module has no behaviour that a mutation can break."""
        found = [result for result in self.results if result.outcome is not Outcome.EQUIVALENT]
        return found[-1] if found else None


def try_module(
    checkout: Checkout, module: str, generator: random.Random, seconds: float, known: Sequence[Judgement]
) -> Trial:
    """Mutate a module at places chosen at random until one mutant breaks a behaviour."""
    trial = Trial(module)
    source = (checkout.folder / module).read_text()
    remaining = places(source)
    generator.shuffle(remaining)
    for place in remaining:
        mutant = apply(source, generator.choice(place))
        if mutant is None:
            continue
        result = judge(checkout, module, source, mutant, seconds, known)
        trial.results.append(result)
        if result.outcome is not Outcome.EQUIVALENT:
            break
    return trial


def judge(
    checkout: Checkout, module: str, source: str, mutant: Mutant, seconds: float, known: Sequence[Judgement]
) -> Result:
    """Decide whether a mutant is equivalent, noticed or survives, in at most about ``seconds``."""
    started = time.monotonic()

    def result(outcome: Outcome, by: str) -> Result:
        mutation = mutant.mutation
        spent = time.monotonic() - started
        return Result(module, mutation.line, mutation.name, mutant.before, mutant.after, outcome, by, spent)

    annotated = any(name in source for name in ("fastapi", "pydantic"))
    reason = equivalent.before_tests(source, mutant.source, annotated) or equivalent.judged(
        module, mutant.before, mutant.after, list(known)
    )
    if reason:
        return result(Outcome.EQUIVALENT, reason)
    targets = levels(checkout.folder, module)
    reason = equivalent.of_survivor(source, mutant.mutation.line, mutant.before, mutant.after)
    noticed = noticed_by(checkout, module, mutant.source, targets[:1] if reason else targets, seconds)
    if noticed.by:
        return result(Outcome.NOTICED, noticed.by)
    if reason:
        return result(Outcome.EQUIVALENT, reason)
    return result(Outcome.SURVIVED, noticed.note)


@dataclass(frozen=True)
class Notice:
    """The test that noticed a mutant, or, with an empty ``by``, the tests that did not."""

    by: str
    note: str


def noticed_by(
    checkout: Checkout, module: str, mutated: str, targets: Sequence[Sequence[str]], seconds: float
) -> Notice:
    """Run the levels of tests, the nearest first, until one fails because of the mutation."""
    deadline = time.monotonic() + seconds
    passed: list[str] = []
    for level in targets:
        options = [f"--timeout={_TEST_SECONDS}"]
        for _ in range(_UNRELATED_FAILURES):
            with checkout.broken(module, mutated):
                run = checkout.test(level, deadline - time.monotonic(), " ".join(options))
            if run.passed:
                passed.append(_named(level))
                break
            if run.code is None and not run.failed:
                return Notice("", f"the time was over after {', '.join(passed) or 'no tests'}")
            if _passes_unbroken(checkout, run, level, options):
                return Notice(_first_failure(run, level), "")
            if not run.failed:
                passed.append(f"{_named(level)} (cannot run, also without the mutation)")
                break
            options += [shlex.quote(f"--deselect={test}") for test in run.failed]
    return Notice("", f"passed: {', '.join(passed)}")


def _named(level: Sequence[str]) -> str:
    return level[0] if len(level) == 1 else f"{level[0]} and {len(level) - 1} files more"


def _first_failure(run: TestRun, level: Sequence[str]) -> str:
    ended = "" if run.code is not None else " did not end"
    return (
        run.failed[0].removeprefix("tests/") + ended
        if run.failed
        else f"{_named(level)} (pytest exited with {run.code})"
    )


def _passes_unbroken(checkout: Checkout, run: TestRun, level: Sequence[str], options: Sequence[str]) -> bool:
    """Run what failed without the mutation. A run that named no test is repeated as a whole."""
    if run.failed:
        return checkout.test([run.failed[0].removeprefix("tests/")], 2 * _TEST_SECONDS, options[0]).passed
    return checkout.test(level, max(60.0, run.seconds), " ".join(options)).passed
