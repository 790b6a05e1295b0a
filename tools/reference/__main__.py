"""Write docs/reference/ from the code: ``python -m tools.reference``, called by `make docs`."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"


def pages() -> dict[str, str]:
    """Return the text of every generated page, by its name. The settings in use are those of dev."""
    os.environ["NEXUS_SETTINGS"] = "dev"
    from tools.reference.dag_params import dag_params_page
    from tools.reference.recipes import recipes_page
    from tools.reference.settings import settings_page

    return {
        "settings.md": settings_page(),
        "recipes.md": recipes_page(),
        "dag_params.md": dag_params_page(ROOT),
    }


def main() -> int:
    """Write the pages that have changed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"docs: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
