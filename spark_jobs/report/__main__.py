"""Write the report of a corpus version: ``python -m spark_jobs.report --corpus <folder or s3://…>``.

The page is ``<corpus>/report.html``. It needs no network and no script, and can be printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from include.contracts.errors import NexusError
from include.object_store.locations import absolute
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.report.page import write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and print its URI. Return 0, or 2 after an error for the user."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("--corpus", required=True, help="folder or s3:// prefix of a complete corpus version")
    corpus = parser.parse_args(argv).corpus
    try:
        print(write_report(VersionLayout(absolute(corpus))))
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
