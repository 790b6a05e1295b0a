"""Upload the package of the jobs to the account of the settings, for the next run of corpus_refresh.

python -m infrastructure.packaging.upload [--package build/package]

``NEXUS_SETTINGS`` chooses the settings; AWS's environment variables and profiles choose account and region.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from include.contracts.errors import NexusError
from include.object_store import ObjectStore
from include.planning.job_code import upload_code, uploaded_code
from include.settings import load_settings
from infrastructure.packaging.build import ROOT


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the package was uploaded."""
    parser = argparse.ArgumentParser(
        prog="infrastructure.packaging.upload", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--package", type=Path, default=ROOT / "build" / "package")
    arguments = parser.parse_args(argv)
    try:
        settings, store = load_settings(), ObjectStore()
        before = uploaded_code(store, settings.storage.artifacts)
        code, now = upload_code(store, arguments.package, settings.storage.artifacts)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"settings {settings.name}: the next corpus_refresh runs {now.git_sha}, at {code}")
    if before is not None and before.sources_sha256 == now.sources_sha256:
        print("the code that decides a corpus is unchanged")
    else:
        print("the code that decides a corpus has changed: the next version reads all shards")
    return 0


if __name__ == "__main__":
    sys.exit(main())
