"""Freed memory is used again instead of being returned to the system at every step."""

from __future__ import annotations

import subprocess
import sys

from tests.training.corpora import ROOT

#: Allocates and frees 64 MiB 20 times, and prints the pages that the system had to provide for it.
PROGRAM = """
import resource, sys
import torch
from training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def allocate():
    torch.ones(16 * 2**20)
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


def test_a_block_that_was_freed_needs_no_new_pages() -> None:
    assert pages("keep") < 1000 < pages("leave")
