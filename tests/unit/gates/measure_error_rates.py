"""Measure how often the gate passes a model that is worse by exactly its margin (the table of ADR 0013).

    .venvs/airflow/bin/python -m tests.unit.gates.measure_error_rates [TRIALS]

Prints, for each family of differences and number of documents, the share that passes with Student's interval
and with the gate's. It takes about two minutes with 2,000 trials.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from include.gates.paired import paired_difference
from tests.unit.gates.test_error_rates import FAMILIES, TOKENS

_DOCUMENTS = (30, 100, 1000)
_HEAVIER = {
    "lognormal, sigma 2": lambda source, n: np.exp(2 * source.normal(size=n)) - math.exp(2),
    "pareto, no variance": lambda source, n: source.pareto(1.5, size=n) - 2,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    trials = int(arguments[0]) if arguments else 2000
    print("| differences | " + " | ".join(f"{n} Student | {n} gate" for n in _DOCUMENTS) + " |")
    print("|---" * (1 + 2 * len(_DOCUMENTS)) + "|")
    for name, draw in (FAMILIES | _HEAVIER).items():
        cells = []
        for documents in _DOCUMENTS:
            source, student, gate = np.random.default_rng(documents), 0, 0
            quantile = float(t.ppf(0.95, documents - 1))
            for _ in range(trials):
                losses = (TOKENS * draw(source, documents)).tolist()
                found = paired_difference(losses, [0.0] * documents, [TOKENS] * documents)
                student += found.mean + quantile * found.standard_error <= 0
                gate += found.upper(0.95) <= 0
            cells.append(f"{student / trials:.1%} | {gate / trials:.1%}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
