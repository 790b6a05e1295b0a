"""The references of docs/reference say what the code says."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.test_import_boundaries import Rule
from tools.reference.__main__ import DOCS, between_marks, pages
from tools.reference.fields import Field, section_of
from tools.reference.imports import direct, imports_between, levels, picture, rules_table
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
    kinds: tuple[str, ...] = ("a",)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        for name in ("count", "big"):
            require(getattr(self, name) > 0, f"example.{name}", "at least 1", getattr(self, name))
        require(self.big >= self.count, "example.big", f"at least count ({self.count})", self.big)
        require(self.kind in NAMES, "example.kind", " or ".join(NAMES), self.kind)
        require(self.kind in self.kinds, "example.kinds", f"some of {', '.join(self.kinds)}", self.kind)
        require(self.inner.size > 0, "inner.share", "not of this class", self.inner.size)


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize(
    "name",
    [
        "reference/settings.md",
        "reference/recipes.md",
        "reference/dag_params.md",
        "reference/imports.svg",
        "architecture.md",
    ],
)
def test_the_documents_are_those_that_make_docs_writes(generated: dict[str, str], name: str) -> None:
    assert (DOCS / name).read_text() == generated[name], "call `make docs` and commit docs/"


def test_every_file_of_the_reference_is_generated(generated: dict[str, str]) -> None:
    assert {f"reference/{path.name}" for path in (DOCS / "reference").iterdir()} <= set(generated)


def test_fields_have_type_default_bounds_and_description() -> None:
    assert section_of(Example).fields == (
        Field("count", "int", None, "at least 1", "The number of things."),
        Field("kind", "str", '"a"', "a or b", ""),
        Field("share", "float", "0.5", "", ""),
        Field("big", "int", "67_108_864", "at least 1; at least count", "Big."),
        Field("kinds", "tuple[str, ...]", '["a"]', "some of kinds", ""),
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
        assert f"`{name}`" in generated["reference/settings.md"]
    for section in re.findall(r"^\[(\w+)\]", settings, re.M):
        assert f"## [{section}]" in generated["reference/settings.md"]


def test_every_recipe_and_every_dag_is_in_the_reference(generated: dict[str, str]) -> None:
    for path in (ROOT / "include/recipes").glob("*/*.toml"):
        assert (
            f"[{path.stem}](../../include/recipes/{path.parent.name}/{path.name})"
            in generated["reference/recipes.md"]
        )
    for path in (ROOT / "dags").glob("*.py"):
        assert f"## {path.stem}" in generated["reference/dag_params.md"]


@pytest.mark.parametrize("name", ["reference/settings.md", "reference/recipes.md"])
def test_every_field_has_a_description(generated: dict[str, str], name: str) -> None:
    rows = [line for line in generated[name].splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|  |")] == []


GRAPH = {"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": {"c"}}


def test_an_import_that_a_longer_path_implies_is_left_out_of_the_picture() -> None:
    assert direct(GRAPH) == {"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}


def test_a_folder_stands_above_everything_that_it_imports() -> None:
    assert levels(GRAPH) == {"a": 2, "b": 1, "c": 0, "d": 1}


def test_folders_that_import_each_other_are_an_error() -> None:
    with pytest.raises(ValueError, match="a -> b -> a"):
        levels({"a": {"b"}, "b": {"a"}})


def test_the_picture_has_a_box_for_each_folder_and_an_arrow_for_each_import() -> None:
    root = ElementTree.fromstring(picture(GRAPH))
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert [node.text for node in root.findall("svg:text", space)] == ["a", "b", "c", "d"]
    assert len(root.findall("svg:path", space)) == 3


def test_imports_are_read_from_the_source(tmp_path: Path) -> None:
    for name in ("include/contracts", "include/aws", "plugins/nexus_airflow", "dags"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "include/aws/emr.py").write_text("from include.contracts.errors import X\nimport boto3\n")
    (tmp_path / "dags/a.py").write_text("def f():\n    from nexus_airflow.operators import job\n")
    found = imports_between(tmp_path)
    assert found["include/aws"] == {"include/contracts"}
    assert found["dags"] == {"plugins"}
    assert found["plugins"] == set()


def test_the_rules_are_a_table() -> None:
    rules = [Rule("a", ("b",)), Rule("c", ("a", "b"), None, ("airflow",)), Rule("d", (), ("httpx",))]
    assert rules_table(rules).splitlines()[2:] == [
        "| `a/` | `b` | standard library only |",
        "| `c/` | `a`, `b` | any except `airflow` |",
        "| `d/` |  | `httpx` |",
    ]


def test_a_generated_block_replaces_only_what_is_between_its_marks() -> None:
    text = "one\n<!-- imports: begin -->\nold\n<!-- imports: end -->\ntwo\n"
    new = between_marks(text, "new\n")
    assert new == "one\n<!-- imports: begin -->\n\nnew\n\n<!-- imports: end -->\ntwo\n"
    assert between_marks(new, "new\n") == new
    with pytest.raises(ValueError, match="expected the marks"):
        between_marks("none", "new")


def test_python_is_that_of_airflow() -> None:
    """The pages are compared in the environment that writes them."""
    assert sys.version_info[:2] == (3, 12)
