"""Write tables and pages in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `make docs`. Change the code that it describes, not this file. -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column that is empty in every row is left out."""
    cells = [[_cell(text) for text in row] for row in rows]
    if not cells:
        return ""
    used = [index for index in range(len(head)) if index == 0 or any(row[index] for row in cells)]
    lines = [[head[index] for index in used], ["---"] * len(used)]
    lines += [[row[index] for index in used] for row in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: str | None) -> str:
    """Return a text in code quotes; an empty text stays empty."""
    if not text:
        return ""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def prose(docstring: str) -> str:
    """Return a docstring as Markdown."""
    return docstring.replace("``", "`")


def page(title: str, *parts: str) -> str:
    """Return a page: title, note, and the parts with an empty line between them."""
    return "\n".join([f"# {title}\n", NOTE, *(f"{part.strip()}\n" for part in parts if part.strip())])


def _cell(text: str) -> str:
    return " ".join(prose(text).replace("|", "\\|").split())
