"""Measure the recall of near duplicates of known similarity (the table of docs/performance.md).

    .venvs/spark/bin/python -m tests.spark.dedup.measure_recall [PROFILE …]

Prints the S-curve of each profile and the share of pairs that is found, for both kinds of pairs. All profiles
take some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from include.recipes.near_dedup import profile
from tests.spark.dedup.test_recall import PLANTINGS, PROFILES, SIMILARITIES, Planting, enough, recall

_STANDARD_ERROR = 0.0015
#: Enough to show hundredths of a percent where nearly all or nearly no pairs are found.
_FEWEST_PAIRS = 20_000


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    print("| profile | " + " | ".join(map(str, SIMILARITIES)) + " |")
    print("|---" * (1 + len(SIMILARITIES)) + "|")
    for name in (sys.argv[1:] if argv is None else argv) or PROFILES:
        recipe = profile(name)
        curve = [PLANTINGS[0](recipe, similarity).chance for similarity in SIMILARITIES]
        found = [[found_share(plant(recipe, one)) for plant in PLANTINGS] for one in SIMILARITIES]
        print(f"| {name}: curve | " + " | ".join(f"{100 * chance:.2f}" for chance in curve) + " |")
        cells = [" / ".join(f"{100 * share:.2f}" for share in both) for both in found]
        print("| … at the end / throughout | " + " | ".join(cells) + " |", flush=True)
    return 0


def found_share(planting: Planting) -> float:
    """Return the share of pairs that is found, of as many pairs as the standard error needs."""
    return recall(planting, max(_FEWEST_PAIRS, enough(planting, _STANDARD_ERROR)), seed=7)


if __name__ == "__main__":
    raise SystemExit(main())
