"""Order test files by the number of imports between them and a module."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from tools.mutants.folders import PRODUCT

#: Folders whose files import the product's modules.
_IMPORTING = (*PRODUCT, "tests")


def by_nearness(root: Path, module: str, mirror: str, tests: Iterable[Path]) -> list[str]:
    """Return test files as paths below ``tests/``, the nearest to ``module`` first.

    The first is ``mirror``, the file named for the module. The files that import the module and those in the
    folder of ``mirror`` follow, then the others. Within each group, the files fewest imports away are first.
    A test that starts the module in another process may reach it by no import. Such tests are last.
    """
    distance = distances(importers(root), module)
    folder = Path(mirror).parent

    def key(name: str) -> tuple[int, int, str]:
        imports = distance.get(name, len(distance) + 1)
        near = imports <= 1 or folder in Path(name).parents
        return 0 if name == mirror else 1 if near else 2, imports, name

    names = sorted((path.relative_to(root).as_posix() for path in tests), key=key)
    return [name.removeprefix("tests/") for name in names]


@lru_cache(maxsize=4)
def importers(root: Path) -> dict[str, set[str]]:
    """Return, for every file of the product and the tests, the files that import or name it.

    The files are read once per process.
    """
    files = {
        path.relative_to(root).as_posix(): path
        for folder in _IMPORTING
        for path in sorted((root / folder).rglob("*.py"))
    }
    known = {_dotted(name): name for name in files}
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in files.items():
        for imported in _named(ast.parse(path.read_text())):
            if imported in known and known[imported] != name:
                found[known[imported]].add(name)
    return found


def distances(importing: dict[str, set[str]], module: str) -> dict[str, int]:
    """Return the number of imports from each file that reaches ``module``."""
    distance = {module: 0}
    frontier = [module]
    while frontier:
        reached = sorted({name for entry in frontier for name in importing.get(entry, ())} - distance.keys())
        distance |= dict.fromkeys(reached, distance[frontier[0]] + 1)
        frontier = reached
    return distance


def _dotted(path: str) -> str:
    parts = Path(path).with_suffix("").parts
    parts = parts[1:] if parts[0] == "plugins" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _named(tree: ast.Module) -> Iterator[str]:
    """Yield dotted names that a file imports, and texts that may be names of modules (``python -m NAME``)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
