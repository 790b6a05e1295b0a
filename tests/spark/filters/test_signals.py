from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from include.contracts.errors import RecipeError
from include.recipes.loading import recipe_from_toml
from include.recipes.quality import SignalBound, SignalsRecipe
from spark_jobs.filters.signals import keep_signals

WORDS = SignalBound("rps_doc_word_count", 50, 100_000)
PERPLEXITY = SignalBound("ccnet_perplexity", maximum=300.0)


def batch(*signals: Any) -> pa.RecordBatch:
    metadata = [json.dumps({"url": "x"} | ({} if s is None else {"quality_signals": s})) for s in signals]
    # as orjson writes them: without spaces
    metadata = [json.dumps(json.loads(text), separators=(",", ":")) for text in metadata]
    return pa.record_batch({"text": [str(n) for n in range(len(signals))], "metadata": metadata})


def kept(signals: list[Any], *bounds: SignalBound) -> tuple[list[str], dict[str, int]]:
    dropped: Counter[str] = Counter()
    result = keep_signals(batch(*signals), SignalsRecipe(bounds), dropped)
    return result.column("text").to_pylist(), +dropped


def words(value: Any) -> dict[str, Any]:
    return {"rps_doc_word_count": [[0, 100, value]]}


def test_documents_out_of_bounds_go_and_both_bounds_are_allowed() -> None:
    texts, dropped = kept([words(49), words(50), words(100_000.0), words(100_001)], WORDS)
    assert texts == ["1", "2"]
    assert dropped == {"quality_signal:rps_doc_word_count": 2}


def test_the_first_bound_in_the_recipes_order_is_the_reason() -> None:
    both = words(1) | {"ccnet_perplexity": [[0, 100, 999.5]]}
    assert kept([both], WORDS, PERPLEXITY)[1] == {"quality_signal:rps_doc_word_count": 1}
    assert kept([both], PERPLEXITY, WORDS)[1] == {"quality_signal:ccnet_perplexity": 1}


@pytest.mark.parametrize(
    "signals",
    [
        None,
        {},
        "not json",
        [],
        {"rps_doc_word_count": None},
        words(None),
        words("1"),
        {"rps_doc_word_count": [[0, 10, 1.0], [10, 20, 1.0]]},
    ],
)
def test_a_document_without_a_number_for_the_signal_is_kept(signals: Any) -> None:
    assert kept([signals], WORDS) == (["0"], {})


def test_signals_held_as_json_text_count_too() -> None:
    assert kept([json.dumps(words(1))], WORDS)[1] == {"quality_signal:rps_doc_word_count": 1}


def test_without_bounds_the_batch_is_untouched() -> None:
    given = batch(words(1))
    assert keep_signals(given, SignalsRecipe(), Counter()) is given


def test_bounds_are_read_from_toml_and_checked() -> None:
    text = '[[bounds]]\nname = "ccnet_perplexity"\nmaximum = 300'
    assert recipe_from_toml(SignalsRecipe, text, where="test") == SignalsRecipe((PERPLEXITY,))
    for wrong in (lambda: SignalBound("x", 2, 1), lambda: SignalBound("x"), lambda: SignalBound("", 1)):
        with pytest.raises(RecipeError, match="signals"):
            wrong()
    with pytest.raises(RecipeError, match="each name once"):
        SignalsRecipe((PERPLEXITY, PERPLEXITY))
