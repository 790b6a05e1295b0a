"""Our own rules: what no validator of others sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from infrastructure.cloudformation.environments import EvaluatedEnvironment
from infrastructure.cloudformation.findings import Finding
from infrastructure.cloudformation.rules import access, airflow, names, network, serving, storage

RULES: tuple[Callable[[EvaluatedEnvironment], Iterator[Finding]], ...] = (
    *names.RULES,
    *network.RULES,
    *storage.RULES,
    *access.RULES,
    *serving.RULES,
    *airflow.RULES,
)


def own_rules(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Yield what our rules find in an environment."""
    for rule in RULES:
        yield from rule(environment)
