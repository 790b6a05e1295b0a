from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants.suites import environments, levels, product_modules

ROOT = Path(__file__).resolve().parents[2]


def test_the_nearest_tests_come_first(repository: Path) -> None:
    assert levels(repository, "include/gates/sums.py") == [
        "unit/gates/test_sums.py",
        "unit/gates",
        "unit",
        "dags",
    ]


def test_a_module_without_tests_of_its_own_has_those_of_its_suite(repository: Path) -> None:
    assert levels(repository, "include/other/thing.py") == ["unit", "dags"]


def test_every_module_of_the_product_has_a_suite_with_an_environment() -> None:
    suites = environments(ROOT)
    modules = product_modules(ROOT)
    assert len(modules) > 200
    found = {module: levels(ROOT, module) for module in modules}
    assert [module for module in modules if not found[module]] == []
    assert {entry.split("/")[0] for entries in found.values() for entry in entries} <= set(suites)


def test_every_suite_is_mapped_to_an_environment() -> None:
    suites = {path.parent.name for path in (ROOT / "tests").glob("*/conftest.py")}
    assert suites <= set(environments(ROOT))


def test_a_script_without_the_mapping_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "infrastructure/setup").mkdir(parents=True)
    (tmp_path / "infrastructure/setup/test.sh").write_text("echo")
    with pytest.raises(ValueError, match="expected `declare -A environment"):
        environments(tmp_path)
