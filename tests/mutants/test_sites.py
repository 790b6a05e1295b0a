from __future__ import annotations

from tests.mutants.conftest import MODULE
from tools.mutants.sites import apply, operators, places

SOURCE = "def small(x):\n    return x < 3 and not x == 1\n"


def mutants_of(source: str) -> set[str]:
    found = [apply(source, mutation) for place in places(source) for mutation in place]
    return {mutant.after for mutant in found if mutant}


def test_comparisons_numbers_and_conditions_are_mutated() -> None:
    after = mutants_of(SOURCE)
    assert {"return x <= 3 and not x == 1", "return x < 3 or not x == 1"} <= after
    assert "return x < 3 and x == 1" in {" ".join(line.split()) for line in after}


def test_identity_in_place_of_equality_is_no_mutation_in_use() -> None:
    assert not any(" is " in line for line in mutants_of(SOURCE))
    assert mutants_of("same = a is b\n") == {"same = a is not b"}


def test_every_place_is_one_group_however_many_operators_change_it() -> None:
    groups = places("x = a + b\n")
    assert len(groups) == 1
    assert len(groups[0]) > 5


def test_lines_and_changes_are_those_of_the_source() -> None:
    for place in places(MODULE):
        for mutation in place:
            mutant = apply(MODULE, mutation)
            if mutant:
                assert mutant.before == MODULE.splitlines()[mutation.line - 1].strip()
                assert mutant.after != mutant.before


def test_the_order_of_operators_is_fixed_so_that_a_seed_repeats_its_choice() -> None:
    assert list(operators()) == sorted(operators())


def test_a_module_without_behaviour_has_no_place() -> None:
    assert places('"""Only text."""\n\nfrom x import y\n') == []
