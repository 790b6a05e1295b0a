"""List the places of a module that a mutation can change, and apply one mutation, with cosmic-ray."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

#: Operators that are left out. Replacing `==` with `is` compares the same values by identity, and gives the
#: same result or a random one. `is` with an ordering, and `~` or `+` for a sign, only raise TypeError. The
#: variable operators need names as arguments and insert random numbers.
_LEFT_OUT = re.compile(
    r"NoOp|Variable(Replacer|Inserter)"
    r"|ComparisonOperator_((Eq|NotEq|Lt|LtE|Gt|GtE)_Is(Not)?|Is(Not)?_(Eq|NotEq|Lt|LtE|Gt|GtE))$"
    r"|UnaryOperator_(UAdd_\w+|(USub|Invert)_(Invert|Not))$"
)


@dataclass(frozen=True)
class Mutation:
    """One change of one place: the operator of cosmic-ray and which of its occurrences in the module."""

    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        """The operator's name without its provider."""
        return self.operator.split("/", maxsplit=1)[1]


@dataclass(frozen=True)
class Mutant:
    """A mutated module: its source and the lines that differ, stripped."""

    mutation: Mutation
    source: str
    before: str
    after: str


@cache
def operators() -> tuple[str, ...]:
    """Return the names of the operators in use, in a fixed order."""
    return tuple(
        sorted(
            name
            for name in operator_names()
            if not _LEFT_OUT.search(name) and not get_operator(name).arguments()
        )
    )


def places(source: str) -> list[list[Mutation]]:
    """Return the mutations of a module, grouped by the place that they change, in source order.

    Grouping gives every place the same chance, whether it admits one mutation (``not x``) or eleven (``+``).
    """
    grouped: dict[tuple[int, int], list[Mutation]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast(source)))
    for name in operators():
        operator = get_operator(name)()
        occurrence = 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                grouped[start].append(Mutation(name, occurrence, start[0]))
                occurrence += 1
    return [grouped[start] for start in sorted(grouped)]


def apply(source: str, mutation: Mutation) -> Mutant | None:
    """Return the mutant, or None where the mutation changes no text or gives no valid Python."""
    mutated = mutate_code(source, get_operator(mutation.operator)(), mutation.occurrence)
    if mutated is None or mutated == source:
        return None
    try:
        compile(mutated, "<mutant>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    before, after = _changed(source, mutated)
    return Mutant(mutation, mutated, before, after)


def _changed(source: str, mutated: str) -> tuple[str, str]:
    removed, added = (
        " ".join(line[1:].strip() for line in _difference(source, mutated) if line.startswith(sign))
        for sign in ("-", "+")
    )
    return removed, added


def _difference(source: str, mutated: str) -> Iterator[str]:
    lines = difflib.unified_diff(source.splitlines(), mutated.splitlines(), n=0, lineterm="")
    return (line for line in lines if not line.startswith(("---", "+++", "@@")))
