"""Find the product's modules and, for a module, the tests that are expected to notice a broken behaviour."""

from __future__ import annotations

import re
from pathlib import Path

from tools.mutants.folders import PRODUCT
from tools.mutants.nearness import by_nearness

#: The suite of a folder, and where its tests mirror the folder.
_MIRRORS = {
    "dags": "dags",
    "plugins/nexus_airflow": "dags",
    "plugins": "dags",
    "include": "unit",
    "spark_jobs": "spark",
    "training": "training",
    "serving": "serving",
    "local_aws": "local_aws",
    "local_stack": "local_stack",
    "demo": "demo",
    "infrastructure": "unit",
}
#: Code that Airflow's tasks call is also tested through the tasks, and the params of DAGs by their reference.
_ALSO = {"include": "dags", "infrastructure/packaging": "dags", "dags": "unit/tools"}

#: This many test files are asked first. Most mutants are noticed by them.
_NEAREST = 6


def product_modules(root: Path) -> list[str]:
    """Return every module of the product, as sorted paths below ``root``."""
    found = (path for folder in PRODUCT for path in (root / folder).rglob("*.py"))
    return sorted(path.relative_to(root).as_posix() for path in found)


def levels(root: Path, module: str) -> list[list[str]]:
    """Return test files (paths below ``tests/``), level by level, the nearest first.

    First come the file named for the module and the few that are fewest imports away from it, in its suite
    and in the one that runs the code inside Airflow's tasks, then the rest of both suites.
    """
    folder = next(prefix for prefix in _longest_first(_MIRRORS) if module.startswith(f"{prefix}/"))
    suite = _MIRRORS[folder]
    path = Path(module)
    stem = path.stem if path.stem not in ("__init__", "__main__") else path.parent.name
    mirror = Path("tests", suite, path.parent.relative_to(folder), f"test_{stem}.py").as_posix()
    suites = [suite, *(also for prefix, also in _ALSO.items() if module.startswith(f"{prefix}/"))]
    ordered = [
        by_nearness(root, module, mirror, (root / "tests" / entry).rglob("test_*.py")) for entry in suites
    ]
    found = [*(files[:_NEAREST] for files in ordered), *(files[_NEAREST:] for files in ordered)]
    return [level for level in found if level]


def environments(root: Path) -> dict[str, str]:
    """Return the environment of every suite, as ``infrastructure/setup/test.sh`` maps them."""
    script = (root / "infrastructure/setup/test.sh").read_text()
    block = re.search(r"declare -A environment=\((.*?)\)", script, re.S)
    if block is None:
        raise ValueError("infrastructure/setup/test.sh: expected `declare -A environment=(…)`, found none")
    return dict(re.findall(r"\[(\w+)\]=(\w+)", block[1]))


def _longest_first(names: dict[str, str]) -> list[str]:
    return sorted(names, key=len, reverse=True)
