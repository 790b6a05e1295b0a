"""Write the generated documents: ``python -m tools.reference``, called by `make docs`."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_BEGIN, _END = "<!-- imports: begin -->", "<!-- imports: end -->"


def pages() -> dict[str, str]:
    """Return the text of every generated file, by its path below docs/. The settings are those of dev."""
    os.environ["NEXUS_SETTINGS"] = "dev"
    from tools.reference.dag_params import dag_params_page
    from tools.reference.imports import imports_between, picture, rules_table
    from tools.reference.recipes import recipes_page
    from tools.reference.settings import settings_page

    return {
        "reference/settings.md": settings_page(),
        "reference/recipes.md": recipes_page(),
        "reference/dag_params.md": dag_params_page(ROOT),
        "reference/imports.svg": picture(imports_between(ROOT)),
        "architecture.md": between_marks((DOCS / "architecture.md").read_text(), rules_table()),
    }


def between_marks(text: str, block: str) -> str:
    """Replace what lies between the marks in a document that people write."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"expected the marks {_BEGIN} and {_END} in the document")
    return f"{before}{begin}\n\n{block.strip()}\n\n{end}{after}"


def main() -> int:
    """Write the pages that have changed."""
    for name, text in pages().items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"docs: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
