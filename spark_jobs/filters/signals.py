"""Bounds on the quality signals that RedPajama v2 publishes with its documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import DropReason
from include.recipes.quality import SignalBound, SignalsRecipe
from spark_jobs.filters.drops import drop_violations


def keep_signals(batch: pa.RecordBatch, recipe: SignalsRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the documents within all bounds; count the others as ``quality_signal:<name>``.

    A document without a number for a signal is kept: of the sources, only RedPajama v2 has any. Reasons come
    in the order of the bounds.
    """
    if not recipe.bounds:
        return batch
    values = _values(batch.column("metadata"), [bound.name for bound in recipe.bounds])
    violations = {
        f"{DropReason.QUALITY_SIGNAL.value}:{bound.name}": _outside(values[:, b], bound)
        for b, bound in enumerate(recipe.bounds)
    }
    return drop_violations(batch, violations, dropped)


def _outside(values: npt.NDArray[np.float64], bound: SignalBound) -> npt.NDArray[np.bool_]:
    low = -np.inf if bound.minimum is None else bound.minimum
    high = np.inf if bound.maximum is None else bound.maximum
    outside: npt.NDArray[np.bool_] = (values < low) | (values > high)  # NaN is neither
    return outside


def _values(metadata: pa.StringArray, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return a row for each document, a column for each signal, NaN if it has none.

    Only metadata with signals is parsed.
    """
    values = np.full((len(metadata), len(names)), np.nan)
    has_signals = pc.match_substring(metadata, '"quality_signals":').to_numpy(zero_copy_only=False)
    for d in np.flatnonzero(has_signals):
        signals = orjson.loads(metadata[int(d)].as_py()).get("quality_signals")
        if isinstance(signals, str):  # Hugging Face's conversions hold it as JSON text
            signals = _parsed(signals)
        if isinstance(signals, dict):
            values[d] = [_document_value(signals.get(name)) for name in names]
    return values


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _document_value(spans: Any) -> float:
    """Return the value in ``[[start, end, value]]``; signals of lines have more than this one span."""
    match spans:
        case [[_, _, int() | float() as value]]:
            return float(value)
    return float("nan")
