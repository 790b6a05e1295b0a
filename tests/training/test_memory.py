"""Freed memory is used again instead of being returned to the system at every step."""

from __future__ import annotations

import subprocess
import sys

from tests.training.corpora import ROOT

#: Allocates and frees blocks of two sizes 20 times, as a step does, and prints the pages that
#: the system had to provide for it.
PROGRAM = """
import resource, sys
import torch
from training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def allocate():
    for mebibytes in (96, 64):
        torch.ones(mebibytes * 2**18)
for _ in range(3):
    allocate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    allocate()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(choice: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, choice],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_most_blocks_are_those_that_were_freed_before() -> None:
    assert pages("keep") * 4 < pages("leave")
