"""A name of the field means one thing: one class, or one alias, in the whole product."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_import_boundaries import ROOT

#: Names that several folders could use: the module that has it, or "" if no class may have so short a name.
MEANINGS = {
    "Engine": "include/aws/engines.py",
    "JobFailed": "plugins/nexus_airflow/errors.py",
    "Settings": "include/settings/model.py",
    "Shard": "include/contracts/ingestion.py",
    "Source": "include/recipes/source.py",
    "Stage": "include/contracts/documents.py",
    "Job": "",
    "Origin": "",
    "Progress": "",
    "Run": "",
}
PRODUCT = (
    "include",
    "plugins",
    "dags",
    "spark_jobs",
    "training",
    "serving",
    "local_aws",
    "local_stack",
    "demo",
)


def defined(source: str) -> Iterator[str]:
    """Yield the classes and aliases at the top of a module."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


@pytest.fixture(scope="module")
def modules() -> dict[str, list[str]]:
    """Return the modules of the product that define each of the names."""
    found: dict[str, list[str]] = {name: [] for name in MEANINGS}
    for path in sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")):
        for name in set(defined(path.read_text())) & found.keys():
            found[name].append(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize(("name", "module"), MEANINGS.items())
def test_a_name_of_the_field_is_defined_once(modules: dict[str, list[str]], name: str, module: str) -> None:
    assert modules[name] == ([module] if module else [])


def test_classes_and_aliases_are_found() -> None:
    assert list(defined("class Run: ...\nJob = int\nx: int = 3\n")) == ["Run", "Job"]


def test_the_folders_of_the_product_exist() -> None:
    assert all(Path(ROOT / folder).is_dir() for folder in PRODUCT)
