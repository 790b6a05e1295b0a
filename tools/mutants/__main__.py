"""Break one behaviour in each of N modules chosen at random, and print which test notices each.

python -m tools.mutants --number 30 [--seed SEED] [--skip 0] [--only FOLDER_OR_MODULE …] [--minutes 15]

A long run can be done in parts: the same seed, with the modules of the earlier parts skipped.

The exit code is 0 if at least 28 of 30 mutants (the same share of another number) are noticed. The last
commit is tested, in a git worktree below build/mutants; results are in build/mutants/results.json too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from tools.mutants.checkout import Checkout, checkout
from tools.mutants.equivalent import judgements
from tools.mutants.sites import places
from tools.mutants.suites import product_modules
from tools.mutants.table import passes, print_result, print_summary
from tools.mutants.trial import Trial, try_module

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if enough mutants were noticed, 1 if not, 2 for wrong arguments, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="tools.mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--number", type=int, default=30, help="how many modules to break (30)")
    parser.add_argument("--skip", type=int, default=0, help="how many modules to leave out before them (0)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the choice (a random one)")
    parser.add_argument("--only", nargs="*", default=[], help="folders or modules to choose from")
    parser.add_argument("--minutes", type=float, default=15, help="limit for the tests of one mutant (15)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at the same time (1)")
    arguments = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    chosen = choose(ROOT, seed, arguments.only)
    if arguments.number < 1 or arguments.jobs < 1 or not chosen:
        print("mutants: give a number and jobs of at least 1, and folders that have modules", file=sys.stderr)
        return 2
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("mutants: the last commit is tested; changes that are not committed are left out", flush=True)
    print(f"mutants: {arguments.number} of {len(chosen)} modules, SEED={seed}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # a shell lets background jobs ignore SIGINT
    breakable = (module for module in chosen if places((ROOT / module).read_text()))
    left = islice(breakable, max(0, arguments.skip), None)
    try:
        trials = run(left, arguments.number, seed, arguments.minutes * 60, arguments.jobs)
    except KeyboardInterrupt:
        print("mutants: interrupted; every test run was stopped", file=sys.stderr)
        return 130
    results = ROOT / "build" / "mutants" / "results.json"
    results.write_text(json.dumps([asdict(trial) for trial in trials], indent=1) + "\n")
    print_summary(trials, seed)
    print(f"mutants: SEED={seed} SKIP={max(0, arguments.skip) + len(trials)} goes on after these modules")
    return 0 if passes(trials) else 1


def choose(root: Path, seed: int, only: Sequence[str] = ()) -> list[str]:
    """Return the modules of the product (of some folders or modules) in the random order of ``seed``."""
    wanted = [entry.rstrip("/") for entry in only]
    modules = [
        module
        for module in product_modules(root)
        if not wanted or any(module == entry or module.startswith(f"{entry}/") for entry in wanted)
    ]
    random.Random(seed).shuffle(modules)
    return modules


def run(waiting: Iterator[str], number: int, seed: int, seconds: float, jobs: int) -> list[Trial]:
    """Try modules in order until ``number`` of them had a behaviour to break."""
    known = judgements()
    free: SimpleQueue[Checkout] = SimpleQueue()

    def attempt(module: str) -> Trial:
        tree = free.get()
        try:
            return try_module(tree, module, random.Random(f"{seed} {module}"), seconds, known)
        finally:
            free.put(tree)

    trials: list[Trial] = []
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        for index in range(jobs):
            tree = stack.enter_context(checkout(ROOT, f"tree-{os.getpid()}-{index}"))
            stack.callback(tree.stop)
            free.put(tree)
        try:
            while missing := number - _decided(trials):
                batch = list(islice(waiting, missing))
                if not batch:
                    break
                for trial in pool.map(attempt, batch):
                    trials.append(trial)
                    print_result(trial, _decided(trials), number)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stack.close()
            raise
    return trials


def _decided(trials: Sequence[Trial]) -> int:
    return sum(trial.decisive is not None for trial in trials)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
