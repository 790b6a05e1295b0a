"""The dependency rules of the repository: which folder may import which, checked by reading the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"include", "nexus_airflow", "nexus_plugin", "dags", "spark_jobs", "training", "serving",
        "local_aws", "local_stack", "demo", "benchmarks", "infrastructure", "tools", "tests"}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """``ours``: own packages, by prefix. ``libraries``: None allows all but ``never``."""

    folder: str
    ours: tuple[str, ...]
    libraries: tuple[str, ...] | None = ()
    never: tuple[str, ...] = ()


RULES = [
    Rule("include/contracts", ("include.contracts",)),
    Rule("include/recipes", ("include.contracts", "include.recipes")),
    Rule("include/object_store", ("include.contracts", "include.object_store"), ("boto3", "botocore")),
    Rule("include/settings", ("include.contracts", "include.settings")),
    Rule("include/gates", ("include.contracts", "include.gates", "include.recipes"), ("scipy", "numpy")),
    Rule(
        "include/aws",
        ("include.aws", "include.contracts", "include.object_store", "include.settings"),
        ("boto3", "botocore"),
    ),
    Rule(
        "include/planning",
        (
            "include.contracts",
            "include.object_store",
            "include.planning",
            "include.recipes",
            "include.settings",
        ),
    ),
    Rule(
        "include/checks",
        ("include.checks", "include.contracts", "include.object_store"),
    ),
    Rule(
        "include/ingest",
        (
            "include.aws",
            "include.contracts",
            "include.ingest",
            "include.object_store",
            "include.recipes",
            "include.settings",
        ),
        ("httpx",),
    ),
    Rule("plugins", ("include", "nexus_airflow"), ("airflow", "botocore", "sqlalchemy", "starlette")),
    Rule("dags", ("include", "nexus_airflow"), ("airflow",)),
    Rule(
        "spark_jobs",
        ("include.contracts", "include.object_store", "include.recipes", "spark_jobs"),
        None,
        ("airflow", "torch"),
    ),
    Rule(
        "training",
        ("include.contracts", "include.object_store", "include.recipes", "training"),
        None,
        ("airflow", "pyspark"),
    ),
    Rule(
        "serving",
        ("include.contracts", "include.object_store", "serving"),
        None,
        ("airflow", "pyspark", "torch"),
    ),
    Rule("local_aws", ("include", "local_aws"), None, ("airflow", "pyspark", "torch")),
    Rule(
        "local_stack",
        ("include", "local_aws.interruption", "local_aws.jobs.leftovers", "local_stack"),
        ("boto3", "botocore", "httpx", "rich", "tomli_w"),
    ),
    Rule(
        "demo",
        ("include", "local_aws.interruption", "local_stack", "demo"),
        ("httpx", "rich", "zstandard", "psutil"),
    ),
    Rule(
        "benchmarks/corpus",
        ("include", "spark_jobs", "demo.memory", "benchmarks.corpus"),
        None,
        ("airflow", "torch"),
    ),
    Rule(
        "benchmarks",
        ("include", "spark_jobs", "serving", "local_aws", "local_stack", "demo", "benchmarks"),
        None,
        ("airflow", "torch"),
    ),
    Rule(
        "infrastructure/cloudformation",
        ("include.contracts", "infrastructure.cloudformation"),
        ("yaml", "cfnlint", "cloudformation_validate", "aws_cdk", "cdk_nag"),
    ),
    Rule("infrastructure/packaging", ("include", "infrastructure")),
    Rule("tools/mutants", ("tools.mutants",), ("cosmic_ray",)),
    Rule(
        "tools/reference", ("include", "tests.unit.test_import_boundaries", "tools.reference"), ("airflow",)
    ),
]


@dataclass(frozen=True)
class Import:
    """``name`` as the source has it, absolute."""

    file: str
    line: int
    name: str


def imports_of(path: Path, root: Path = ROOT) -> Iterator[Import]:
    """Yield every import of a file, also inside functions; relative imports are made absolute."""
    file = path.relative_to(root).as_posix()
    for node in ast.walk(ast.parse(path.read_text(), filename=file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = path.relative_to(root).parts[: -node.level]
                yield Import(file, node.lineno, ".".join((*package, node.module or "")).rstrip("."))
            else:
                # `from include import aws` imports include.aws
                for alias in node.names:
                    is_package = (root / (node.module or "").replace(".", "/") / alias.name).is_dir()
                    name = f"{node.module}.{alias.name}" if is_package else str(node.module)
                    yield Import(file, node.lineno, name)


def violations(rule: Rule, root: Path = ROOT) -> list[str]:
    """Return the imports of a folder that break its rule."""
    found = []
    for path in sorted((root / rule.folder).rglob("*.py")):
        for entry in imports_of(path, root):
            if not _allowed(rule, entry.name):
                found.append(f"{entry.file}:{entry.line} imports {entry.name}")
    return found


def _allowed(rule: Rule, name: str) -> bool:
    top = name.split(".", maxsplit=1)[0]
    if top in OURS:
        return any(name == prefix or name.startswith(f"{prefix}.") for prefix in rule.ours)
    if top in sys.stdlib_module_names:
        return True
    if rule.libraries is None:
        return top not in rule.never
    return top in rule.libraries


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.folder)
def test_folder_imports_only_what_its_runtime_has(rule: Rule) -> None:
    assert any((ROOT / rule.folder).rglob("*.py")), "a rule for nothing"
    assert violations(rule) == []


@pytest.mark.parametrize("outsider", ["local_aws", "local_stack", "demo", "benchmarks", "tools"])
def test_nothing_that_ships_imports_what_serves_one_machine(outsider: str) -> None:
    shipped = ("include", "plugins", "dags", "spark_jobs", "training", "serving")
    found = [
        f"{entry.file}:{entry.line}"
        for folder in shipped
        for path in sorted((ROOT / folder).rglob("*.py"))
        for entry in imports_of(path)
        if entry.name.split(".")[0] == outsider
    ]
    assert found == []


def test_triggers_import_nothing_from_dags() -> None:
    files = sorted((ROOT / "plugins" / "nexus_airflow" / "triggers").glob("*.py"))
    assert files
    assert [e for path in files for e in imports_of(path) if e.name.split(".")[0] == "dags"] == []


@pytest.mark.parametrize(
    "source",
    [
        "import boto3",
        "from airflow.sdk import dag",
        "def late():\n    import torch",
        "from include.aws import clients",
        "from include import aws",
        "from ..aws import clients",
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, source: str) -> None:
    for package in ("include/contracts", "include/aws"):
        (tmp_path / package).mkdir(parents=True)
    (tmp_path / "include" / "contracts" / "bad.py").write_text(source)
    assert len(violations(RULES[0], tmp_path)) == 1
