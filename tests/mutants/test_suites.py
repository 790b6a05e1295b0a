from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants.suites import environments, levels, product_modules

ROOT = Path(__file__).resolve().parents[2]


def test_the_nearest_tests_come_first(repository: Path) -> None:
    assert levels(repository, "include/gates/sums.py") == [
        ["unit/gates/test_sums.py", "unit/gates/test_other.py"],
        ["dags/test_dag.py"],
    ]


def test_a_module_without_tests_of_its_own_has_those_of_its_suite(repository: Path) -> None:
    assert levels(repository, "include/other/thing.py") == [
        ["unit/gates/test_other.py", "unit/gates/test_sums.py"],
        ["dags/test_dag.py"],
    ]


def test_a_dag_is_also_compared_with_the_reference_of_its_params(repository: Path) -> None:
    reference = repository / "tests/unit/tools/test_reference.py"
    reference.parent.mkdir()
    reference.touch()
    assert levels(repository, "dags/some.py") == [["dags/test_dag.py"], ["unit/tools/test_reference.py"]]


def test_only_the_nearest_files_are_in_the_first_level(repository: Path) -> None:
    for number in range(9):
        (repository / f"tests/unit/test_{number}.py").write_text("")
    near, dags, rest = levels(repository, "include/gates/sums.py")
    assert dags == ["dags/test_dag.py"]
    assert near[:2] == ["unit/gates/test_sums.py", "unit/gates/test_other.py"]
    assert len(near) == 6
    assert len(near) + len(rest) == 11


@pytest.mark.parametrize(
    "line",
    [
        "import include.gates.sums",
        "from include.gates.sums import total",
        "from include.gates import sums",
        "COMMAND = ['python', '-m', 'include.gates.sums']",
    ],
)
def test_files_that_import_or_name_a_module_are_near(repository: Path, line: str) -> None:
    for name, text in {"a": "", "b": "from include import middle", "c": line, "d": "import other"}.items():
        (repository / f"tests/dags/test_{name}.py").write_text(text)
    (repository / "include/middle.py").write_text("from include.gates.sums import total")
    near = levels(repository, "include/gates/sums.py")[1]
    assert near[:2] == ["dags/test_c.py", "dags/test_b.py"]


def test_a_plugin_is_imported_without_the_name_of_its_folder(repository: Path) -> None:
    plugin = repository / "plugins/nexus_airflow/tasks/some.py"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    (repository / "tests/dags/test_z.py").write_text("import nexus_airflow.tasks.some")
    assert levels(repository, "plugins/nexus_airflow/tasks/some.py")[0][0] == "dags/test_z.py"


def test_every_module_of_the_product_has_a_suite_with_an_environment() -> None:
    suites = environments(ROOT)
    modules = product_modules(ROOT)
    assert len(modules) > 200
    found = {module: levels(ROOT, module) for module in modules}
    assert [module for module in modules if not found[module]] == []
    assert {entry.split("/")[0] for entries in found.values() for level in entries for entry in level} <= set(
        suites
    )


def test_every_suite_is_mapped_to_an_environment() -> None:
    suites = {path.parent.name for path in (ROOT / "tests").glob("*/conftest.py")}
    assert suites <= set(environments(ROOT))


def test_a_script_without_the_mapping_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "infrastructure/setup").mkdir(parents=True)
    (tmp_path / "infrastructure/setup/test.sh").write_text("echo")
    with pytest.raises(ValueError, match="expected `declare -A environment"):
        environments(tmp_path)
