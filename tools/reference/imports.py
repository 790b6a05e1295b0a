"""Draw which folder imports which, and tabulate which imports the boundary test allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from tests.unit.test_import_boundaries import RULES, Rule, imports_of
from tools.reference.markdown import code, table

#: The folders of the picture: those of the product and what runs it on one machine.
_TOP = ("dags", "plugins", "spark_jobs", "training", "serving", "local_aws", "local_stack", "demo")
_BOX = (150, 34)
_GAP = (14, 74)
_MARGIN = 16
_COLOURS = {"include": "#dbe9f6", "airflow": "#fde3c8", "job": "#dcefd8", "machine": "#e8e0f0"}
_KINDS = {
    "dags": "airflow",
    "plugins": "airflow",
    "spark_jobs": "job",
    "training": "job",
    "serving": "job",
    "local_aws": "machine",
    "local_stack": "machine",
    "demo": "machine",
}


def rules_table(rules: Iterable[Rule] = RULES) -> str:
    """Return the table of allowed imports, as the boundary test enforces them."""
    rows = []
    for rule in rules:
        ours = ", ".join(code(name) for name in rule.ours)
        if rule.libraries is None:
            libraries = f"any except {', '.join(map(code, rule.never))}" if rule.never else "any"
        else:
            libraries = ", ".join(map(code, rule.libraries)) or "standard library only"
        rows.append((code(f"{rule.folder}/"), ours, libraries))
    return table(("folder", "may import from this repository", "libraries"), rows)


def imports_between(root: Path) -> dict[str, set[str]]:
    """Return the folders that each folder of the picture imports."""
    parts = sorted(path.name for path in (root / "include").iterdir() if (path / "__init__.py").exists())
    folders = [*(f"include/{name}" for name in parts), *_TOP]
    found: dict[str, set[str]] = {folder: set() for folder in folders}
    for folder in folders:
        for path in (root / folder).rglob("*.py"):
            for entry in imports_of(path, root):
                target = _folder_of(entry.name, folders)
                if target and target != folder:
                    found[folder].add(target)
    return found


def _folder_of(name: str, folders: list[str]) -> str | None:
    first, _, rest = name.partition(".")
    if first in ("nexus_airflow", "nexus_plugin"):
        return "plugins"
    wanted = f"include/{rest.split('.')[0]}" if first == "include" else first
    return wanted if wanted in folders else None


def direct(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without edges that a longer path implies."""
    reach: dict[str, set[str]] = {}

    def reachable(node: str) -> set[str]:
        if node not in reach:
            reach[node] = set().union(*({below} | reachable(below) for below in graph[node]), set())
        return reach[node]

    return {
        node: {
            below for below in graph[node] if not any(below in reachable(o) for o in graph[node] - {below})
        }
        for node in graph
    }


def levels(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the height of each node: above everything that it imports. Raises ValueError for a cycle."""
    found: dict[str, int] = {}

    def height(node: str, path: tuple[str, ...]) -> int:
        if node in path:
            raise ValueError(f"folders import each other: {' -> '.join((*path, node))}")
        if node not in found:
            found[node] = max((height(below, (*path, node)) + 1 for below in graph[node]), default=0)
        return found[node]

    for node in graph:
        height(node, ())
    return found


def picture(graph: Mapping[str, set[str]]) -> str:
    """Return an SVG with a box per folder and an arrow from each folder to those that it imports."""
    edges, height = direct(graph), levels(graph)
    rows = [
        sorted(node for node in graph if height[node] == level) for level in range(max(height.values()) + 1)
    ]
    columns = max(map(len, rows))
    width = columns * (_BOX[0] + _GAP[0]) - _GAP[0] + 2 * _MARGIN
    total = len(rows) * (_BOX[1] + _GAP[1]) - _GAP[1] + 2 * _MARGIN
    centres: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        # a node is put over the mean of what it imports, which keeps arrows short
        row.sort(key=lambda node: (_mean([centres[below][0] for below in edges[node]]), node))
        left = (width - len(row) * (_BOX[0] + _GAP[0]) + _GAP[0]) / 2
        for index, node in enumerate(row):
            x = left + index * (_BOX[0] + _GAP[0]) + _BOX[0] / 2
            centres[node] = (x, total - _MARGIN - level * (_BOX[1] + _GAP[1]) - _BOX[1] / 2)
    lines = [_arrow(centres[node], centres[below]) for node in sorted(edges) for below in sorted(edges[node])]
    boxes = [_box(node, *centres[node]) for node in sorted(centres)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" '
            f'height="{total}" font-family="sans-serif" font-size="13">',
            "<title>Imports between the folders of the repository</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>',
            f'<rect width="{width}" height="{total}" fill="#fff"/>',
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    top, bottom = y1 + _BOX[1] / 2, y2 - _BOX[1] / 2 - 1
    bend = (bottom - top) / 2
    path = f"M{x1:.0f} {top:.0f}C{x1:.0f} {top + bend:.0f} {x2:.0f} {bottom - bend:.0f} {x2:.0f} {bottom:.0f}"
    return f'<path d="{path}" fill="none" stroke="#667" stroke-width="1.2" marker-end="url(#tip)"/>'


def _box(name: str, x: float, y: float) -> str:
    fill = _COLOURS[_KINDS.get(name, "include")]
    left, top = x - _BOX[0] / 2, y - _BOX[1] / 2
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{_BOX[0]}" height="{_BOX[1]}" rx="5" fill="{fill}" '
        f'stroke="#667"/><text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">{escape(name)}</text>'
    )
