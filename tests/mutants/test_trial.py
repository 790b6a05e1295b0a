from __future__ import annotations

import random
from pathlib import Path

from tests.mutants.conftest import MODULE, git
from tools.mutants.checkout import checkout
from tools.mutants.equivalent import Judgement
from tools.mutants.sites import Mutant, apply, places
from tools.mutants.table import describe, passes
from tools.mutants.trial import Outcome, Result, Trial, judge, try_module

NAME = "include/gates/sums.py"


def mutant(after: str) -> Mutant:
    found = [apply(MODULE, mutation) for place in places(MODULE) for mutation in place]
    return next(entry for entry in found if entry and entry.after.replace("  ", " ") == after)


def test_the_test_that_notices_is_named(repository: Path) -> None:
    with checkout(repository, "tree") as tree:
        result = judge(tree, NAME, MODULE, mutant("if value > LIMIT:"), 60, [])
    assert result.outcome is Outcome.NOTICED
    assert result.by == "unit/gates/test_sums.py::test_values_are_added"
    assert (result.line, result.before) == (10, "if value < LIMIT:")


def test_what_no_level_of_tests_notices_survives(repository: Path) -> None:
    with checkout(repository, "tree") as tree:
        result = judge(tree, NAME, MODULE, mutant("LIMIT = 11"), 60, [])
    assert result.outcome is Outcome.SURVIVED
    assert result.by == "passed: unit/gates/test_sums.py and 1 files more, dags/test_dag.py"


def test_a_judged_mutant_is_equivalent_without_a_run(repository: Path) -> None:
    known = [Judgement(NAME, "LIMIT = 10", "LIMIT = 11", "an example")]
    changed = mutant("LIMIT = 11")
    changed = Mutant(changed.mutation, changed.source, changed.before, "LIMIT = 11")
    with checkout(repository, "tree") as tree:
        result = judge(tree, NAME, MODULE, changed, 60, known)
    assert (result.outcome, result.by) == (Outcome.EQUIVALENT, "an example")


def test_a_test_that_fails_anyway_notices_nothing(repository: Path) -> None:
    (repository / "tests/unit/gates/test_other.py").write_text(
        "def test_broken() -> None:\n    assert False\n"
    )
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    with checkout(repository, "tree") as tree:
        survivor = judge(tree, NAME, MODULE, mutant("LIMIT = 11"), 60, [])
        noticed = judge(tree, NAME, MODULE, mutant("if value > LIMIT:"), 60, [])
    assert survivor.outcome is Outcome.SURVIVED
    assert noticed.by.endswith("test_values_are_added")


def test_tests_that_cannot_run_notice_nothing_and_the_next_level_is_asked(repository: Path) -> None:
    (repository / "tests/unit/gates/conftest.py").write_text("raise OSError('broken')\n")
    (repository / "tests/dags/test_dag.py").write_text(
        (repository / "tests/unit/gates/test_sums.py").read_text()
    )
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "second")
    with checkout(repository, "tree") as tree:
        result = judge(tree, NAME, MODULE, mutant("if value > LIMIT:"), 120, [])
    assert (result.outcome, result.by) == (Outcome.NOTICED, "dags/test_dag.py::test_values_are_added")


def test_a_survivor_of_a_run_that_was_not_finished_says_so(repository: Path) -> None:
    (repository / "tests/unit/gates/test_other.py").write_text(
        "import time\n\ndef test_slow() -> None:\n    time.sleep(60)\n"
    )
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    with checkout(repository, "tree") as tree:
        result = judge(tree, NAME, MODULE, mutant("LIMIT = 11"), 5, [])
    assert (result.outcome, result.by) == (Outcome.SURVIVED, "the time was over after no tests")


def test_the_same_seed_chooses_the_same_mutant(repository: Path) -> None:
    with checkout(repository, "tree") as tree:
        first, second = (try_module(tree, NAME, random.Random("7"), 60, []) for _ in range(2))
    assert [(r.line, r.after) for r in first.results] == [(r.line, r.after) for r in second.results]
    assert first.decisive


def test_equivalent_mutants_are_replaced(repository: Path) -> None:
    judgements = [
        Judgement(NAME, entry.before, entry.after, "an example")
        for place in places(MODULE)
        for mutation in place
        if (entry := apply(MODULE, mutation)) and entry.before != "if value < LIMIT:"
    ]
    with checkout(repository, "tree") as tree:
        trials = [try_module(tree, NAME, random.Random(seed), 60, judgements) for seed in range(3)]
    assert any(len(trial.results) > 1 for trial in trials)
    for trial in trials:
        assert all(result.outcome is Outcome.EQUIVALENT for result in trial.results[:-1])
        assert trial.decisive is trial.results[-1]


def _trial(outcome: Outcome) -> Trial:
    return Trial("m.py", [Result("m.py", 1, "AddNot", "if x:", "if not x:", outcome, "why")])


def test_28_of_30_pass_and_27_do_not() -> None:
    noticed, survived = _trial(Outcome.NOTICED), _trial(Outcome.SURVIVED)
    assert passes([noticed] * 28 + [survived] * 2)
    assert not passes([noticed] * 27 + [survived] * 3)
    assert passes([noticed] * 28 + [survived] * 2 + [_trial(Outcome.EQUIVALENT)] * 9)
    assert not passes([_trial(Outcome.EQUIVALENT)])
    assert not passes([])


def test_a_module_in_which_nothing_can_break_is_said_to_be_skipped() -> None:
    assert "skipped    m.py: no mutation breaks a behaviour" in list(describe(_trial(Outcome.EQUIVALENT)))
    assert not any("skipped" in line for line in describe(_trial(Outcome.NOTICED)))
