"""``python -m benchmarks.orchestration --output FOLDER``: what `make bench-orchestration` calls.

A demo in the state folder NEXUS_STATE, from scratch, then its jobs alone. One process for all of it, so
that a signal reaches what runs and no shell between can end without it.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import bare_jobs
from demo import __main__ as demo
from local_aws.interruption import interruptible
from local_stack.config import StackConfig
from local_stack.stack import Stack


def main(argv: Sequence[str] | None = None) -> int:
    """0 when both ran; else the exit status of the one that did not."""
    parser = argparse.ArgumentParser(prog="benchmarks.orchestration", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder that is emptied and filled")
    output = parser.parse_args(argv).output
    with interruptible():
        Stack(StackConfig.from_environment()).down(lambda _: None)
        shutil.rmtree(output, ignore_errors=True)
        status = demo.main(["--output", str(output)])
        return status or bare_jobs.main(["--summary", str(output / "summary.json")])


if __name__ == "__main__":
    raise SystemExit(main())
