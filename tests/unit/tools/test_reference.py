"""The references of docs/reference say what the code says."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.reference.__main__ import FOLDER, pages
from tools.reference.fields import Field, section_of
from tools.reference.markdown import table

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("a", "b")


def require(condition: bool, name: str, expected: str, got: object) -> None:
    assert condition, (name, expected, got)


@dataclass(frozen=True)
class Inner:
    """A section."""

    size: int = 3


@dataclass(frozen=True)
class Example:
    """An example."""

    #: The number of
    #: things.
    count: int
    kind: str = "a"
    share: float = 1 / 2
    #: Big.
    big: int = 64 << 20
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        for name in ("count", "big"):
            require(getattr(self, name) > 0, f"example.{name}", "at least 1", getattr(self, name))
        require(self.big >= self.count, "example.big", f"at least count ({self.count})", self.big)
        require(self.kind in NAMES, "example.kind", " or ".join(NAMES), self.kind)
        require(self.inner.size > 0, "inner.share", "not of this class", self.inner.size)


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", ["settings.md", "recipes.md", "dag_params.md"])
def test_the_pages_are_those_that_make_docs_writes(generated: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text() == generated[name], "call `make docs` and commit docs/reference"


def test_every_page_is_generated(generated: dict[str, str]) -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(generated)


def test_fields_have_type_default_bounds_and_description() -> None:
    assert section_of(Example).fields == (
        Field("count", "int", None, "at least 1", "The number of things."),
        Field("kind", "str", '"a"', "a or b", ""),
        Field("share", "float", "0.5", "", ""),
        Field("big", "int", "67_108_864", "at least 1; at least count", "Big."),
        Field("inner", "Inner", "see Inner", "", ""),
    )


def test_columns_that_are_empty_in_every_row_are_left_out() -> None:
    assert table(("a", "b", "c"), [("1", "", "x|y"), ("2", "", "")]) == (
        "| a | c |\n| --- | --- |\n| 1 | x\\|y |\n| 2 |  |\n"
    )
    assert table(("a",), []) == ""


def test_the_name_of_every_setting_is_in_the_reference(generated: dict[str, str]) -> None:
    settings = (ROOT / "include/settings/dev.toml").read_text()
    for name in re.findall(r"^(\w+) =", settings, re.M):
        assert f"`{name}`" in generated["settings.md"]
    for section in re.findall(r"^\[(\w+)\]", settings, re.M):
        assert f"## [{section}]" in generated["settings.md"]


def test_every_recipe_and_every_dag_is_in_the_reference(generated: dict[str, str]) -> None:
    for path in (ROOT / "include/recipes").glob("*/*.toml"):
        assert (
            f"[{path.stem}](../../include/recipes/{path.parent.name}/{path.name})" in generated["recipes.md"]
        )
    for path in (ROOT / "dags").glob("*.py"):
        assert f"## {path.stem}" in generated["dag_params.md"]


@pytest.mark.parametrize("name", ["settings.md", "recipes.md"])
def test_every_field_has_a_description(generated: dict[str, str], name: str) -> None:
    rows = [line for line in generated[name].splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|  |")] == []


def test_python_is_that_of_airflow() -> None:
    """The pages are compared in the environment that writes them."""
    assert sys.version_info[:2] == (3, 12)
