"""Run a demo and then its jobs alone: ``python -m benchmarks.orchestration`` (`make bench-orchestration`).

The demo starts from scratch in the state folder NEXUS_STATE. One process runs both parts, so that a signal
reaches the part that is running.
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
    """Return 0 if both parts succeeded, or else the exit status of the part that failed."""
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
