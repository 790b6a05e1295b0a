"""Every bounded field of a recipe accepts its bounds and refuses the next value beyond them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from include.contracts.errors import RecipeError
from include.contracts.records import from_plain
from include.recipes.corpus import (
    CorpusRecipe,
    FilterRecipe,
    HeldOutRecipe,
    NormaliseRecipe,
    ReadRecipe,
    SubsetRule,
    TokenizerRecipe,
)
from include.recipes.decontamination import Benchmark, DecontaminateRecipe
from include.recipes.gate import GateRecipe
from include.recipes.near_dedup import NearDedupRecipe
from include.recipes.quality import (
    C4Recipe,
    FineWebRecipe,
    GopherRecipe,
    LanguageRecipe,
    SignalBound,
)
from include.recipes.scrubbing import ScrubRecipe
from include.recipes.source import ListedShard, Politeness, Source
from include.recipes.training import ModelRecipe, OptimiserRecipe, TrainingRecipe

SHARD = {"name": "s", "url": "https://h/s"}
#: Fields that a recipe needs besides the one in question.
OTHERS: dict[type, dict[str, Any]] = {
    SubsetRule: {"name": "n", "shards": "*"},
    CorpusRecipe: {"name": "n"},
    Benchmark: {"name": "n", "uri": "u", "fields": ["f"]},
    GateRecipe: {"name": "n"},
    SignalBound: {"name": "n", "minimum": 2.0},
    TrainingRecipe: {"name": "n"},
    ListedShard: SHARD,
    Source: {
        "name": "n",
        "title": "t",
        "homepage": "https://h/",
        "licence": "l",
        "raw_prefix": "r/",
        "shards": [SHARD],
    },
}
SHARES = ([0.0, 1.0], [-0.001, 1.001])
ONE = ([1], [0])
NUMBERS = ([0], [-1])
PARTS = ([0.0, 0.999], [-0.001, 1.0])
SECONDS = ([0.001, 3600.0], [0.0, 3600.001])

#: Recipe, field, the values at its bounds, and the values next to them that are refused.
BOUNDS: list[tuple[type, str, list[Any], list[Any]]] = [
    (SubsetRule, "name", ["x", "x" * 80], ["", "x" * 81, "a\n"]),
    (SubsetRule, "shards", ["*"], [""]),
    (ReadRecipe, "max_document_bytes", *ONE),
    (ReadRecipe, "max_subsets", [1, 10_000], [0, 10_001]),
    (NormaliseRecipe, "unicode_form", ["NFC", "NFKC"], ["NFD", ""]),
    (NormaliseRecipe, "max_replacement_share", *SHARES),
    (FilterRecipe, "min_characters", [0, 10_000_000], [-1, 10_000_001]),
    (FilterRecipe, "max_characters", [0, 200], [-1, 199]),
    (FilterRecipe, "max_symbol_share", *SHARES),
    (FilterRecipe, "max_duplicate_line_share", *SHARES),
    (FilterRecipe, "max_top_bigram_share", *SHARES),
    (HeldOutRecipe, "share", [0.001, 0.499], [0.0, 0.5]),
    (HeldOutRecipe, "max_documents_per_subset", *ONE),
    (HeldOutRecipe, "min_documents", *NUMBERS),
    (TokenizerRecipe, "vocabulary_size", [258, 1_000_000], [257, 1_000_001]),
    (TokenizerRecipe, "end_of_text", ["x"], [""]),
    (TokenizerRecipe, "max_training_bytes", [1, 10**9], [0, 10**9 + 1]),
    (CorpusRecipe, "name", ["a", "A-1_b", "x" * 64], ["", "-a", "a b", "x" * 65, "a/b"]),
    (CorpusRecipe, "shard_tokens", *ONE),
    (Benchmark, "name", ["a", "a.b_c-1"], ["", ".a", "a b"]),
    (Benchmark, "uri", ["u"], [""]),
    (Benchmark, "fields", [["a"], ["a", "b.c"]], [[], ["a", ""]]),
    (DecontaminateRecipe, "ngram_words", [8, 64], [0, 65]),
    (DecontaminateRecipe, "min_overlap", *SHARES),
    (DecontaminateRecipe, "min_item_words", [1, 13], [0, 14]),
    (NearDedupRecipe, "ngram", [1, 64], [0, 65]),
    (NearDedupRecipe, "min_units", *ONE),
    (NearDedupRecipe, "bands", [1, 256], [0, 257]),
    (NearDedupRecipe, "rows", [1, 64], [0, 65]),
    (NearDedupRecipe, "threshold", [0.001, 1.0], [0.0, 1.001]),
    (GopherRecipe, "words", ["whitespace", "english"], [""]),
    (GopherRecipe, "min_words", [0, 100_000], [-1, 100_001]),
    (GopherRecipe, "max_words", [0, 50], [-1, 49]),
    (GopherRecipe, "min_mean_word_length", [0.0, 10.0], [-0.001, 10.001]),
    (GopherRecipe, "max_mean_word_length", [0.0, 3.0], [2.999]),
    (GopherRecipe, "max_symbol_word_ratio", [0.0, 7.0], [-0.001]),
    (GopherRecipe, "min_stop_words", [0, 8], [-1, 9]),
    (GopherRecipe, "max_bullet_line_share", *SHARES),
    (GopherRecipe, "max_ellipsis_line_share", *SHARES),
    (GopherRecipe, "min_alphabetic_word_share", *SHARES),
    (GopherRecipe, "max_duplicate_line_share", *SHARES),
    (GopherRecipe, "max_duplicate_paragraph_share", *SHARES),
    (GopherRecipe, "max_duplicate_line_character_share", *SHARES),
    (GopherRecipe, "max_duplicate_paragraph_character_share", *SHARES),
    (GopherRecipe, "max_top_ngram_shares", [[0.0, 1.0, 0.5]], [[0.1] * 2, [0.1] * 4, [0.1, 0.1, 1.001]]),
    (GopherRecipe, "max_duplicate_ngram_shares", [[0.0] * 6, [1.0] * 6], [[0.1] * 5, [-0.1] * 6]),
    (C4Recipe, "min_words_per_line", *NUMBERS),
    (C4Recipe, "min_num_sentences", *NUMBERS),
    (C4Recipe, "max_word_length", *NUMBERS),
    (FineWebRecipe, "words", ["whitespace", "english"], [""]),
    (FineWebRecipe, "min_punctuated_line_share", *SHARES),
    (FineWebRecipe, "min_short_line_share", *SHARES),
    (FineWebRecipe, "min_duplicate_character_share", *SHARES),
    (FineWebRecipe, "short_line_length", *NUMBERS),
    (FineWebRecipe, "max_line_feed_ratio", [0.0, 5.0], [-0.001]),
    (LanguageRecipe, "languages", [[], ["en", "fil"]], [["e"], ["engl"], ["EN"], ["é1"], ["en", ""]]),
    (LanguageRecipe, "min_score", *SHARES),
    (LanguageRecipe, "max_characters", *NUMBERS),
    (SignalBound, "name", ["n"], [""]),
    (SignalBound, "maximum", [2.0, 3.0], [1.999]),
    (SignalBound, "minimum", [2.0, -5.0], [None]),
    (GateRecipe, "margin_nats", [0.0, 100.0], [-0.001, math.inf]),
    (GateRecipe, "min_gain_nats", [-1.0, 0.0], [math.inf, math.nan]),
    (GateRecipe, "subset_margin_nats", [0.0, 1.0], [-0.001, 1.001]),
    (GateRecipe, "subset_margin_limit_nats", [0.15], [0.149, math.inf]),
    (GateRecipe, "guard_power", [0.501, 0.999], [0.5, 1.0]),
    (GateRecipe, "confidence", [0.501, 0.999], [0.5, 1.0]),
    (GateRecipe, "min_documents", [30], [29]),
    (GateRecipe, "min_subset_documents", [30], [29]),
    (Politeness, "max_connections", [1, 16], [0, 17]),
    (Politeness, "max_attempts", [1, 20], [0, 21]),
    (Politeness, "backoff_seconds", *SECONDS),
    (Politeness, "max_wait_seconds", *SECONDS),
    (Politeness, "connect_timeout_seconds", *SECONDS),
    (Politeness, "read_timeout_seconds", *SECONDS),
    (Politeness, "min_bytes_per_second", [0, 10**9], [-1, 10**9 + 1]),
    (ListedShard, "size_bytes", [1, None], [0]),
    (Source, "max_listing_bytes", *ONE),
    (Source, "title", ["t", "t" * 200], ["", "t" * 201, "é", "t\n"]),
    (Source, "licence", ["l" * 200], ["", "l" * 201]),
    (ModelRecipe, "hidden_size", [1], [0]),
    (ModelRecipe, "layers", *ONE),
    (ModelRecipe, "attention_heads", *ONE),
    (ModelRecipe, "key_value_heads", *ONE),
    (ModelRecipe, "feed_forward_size", *ONE),
    (ModelRecipe, "context_length", [8], [7]),
    (OptimiserRecipe, "learning_rate", [0.001, 0.999], [0.0, 1.0]),
    (OptimiserRecipe, "weight_decay", *PARTS),
    (OptimiserRecipe, "beta1", *PARTS),
    (OptimiserRecipe, "beta2", *PARTS),
    (OptimiserRecipe, "warmup_steps", *NUMBERS),
    (OptimiserRecipe, "final_share", *SHARES),
    (OptimiserRecipe, "gradient_clip", [0.001], [0.0]),
    (TrainingRecipe, "steps", *ONE),
    (TrainingRecipe, "batch_sequences", [8, 16], [0, 4, 12]),
    (TrainingRecipe, "micro_batch_sequences", [1, 32], [0, 5]),
    (TrainingRecipe, "checkpoint_every_steps", *ONE),
    (TrainingRecipe, "keep_checkpoints", *ONE),
    (TrainingRecipe, "max_skipped_steps", *NUMBERS),
    (TrainingRecipe, "precision", ["float32", "bfloat16"], ["float16"]),
    (TrainingRecipe, "mixture_absent", ["refuse", "leave_out"], [""]),
    (
        TrainingRecipe,
        "mixture",
        [{}, {"a": 0.0, "b": 0.1}],
        [{"a": 0.0}, {"a": -0.1, "b": 1.0}, {"a": math.inf}],
    ),
]
CASES = [(kind, field, value, True) for kind, field, accepted, _ in BOUNDS for value in accepted]
CASES += [(kind, field, value, False) for kind, field, _, refused in BOUNDS for value in refused]


def build(kind: type, **values: Any) -> Any:
    return from_plain(kind, OTHERS.get(kind, {}) | values, where="test", error=RecipeError)


@pytest.mark.parametrize(("kind", "field", "value", "accepted"), CASES)
def test_a_value_at_its_bound_is_accepted_and_the_next_one_refused(
    kind: type, field: str, value: Any, accepted: bool
) -> None:
    if accepted:
        found = getattr(build(kind, **{field: value}), field)
        assert found == (tuple(value) if isinstance(value, list) else value)
    else:
        with pytest.raises(RecipeError):
            build(kind, **{field: value})


def test_a_head_has_an_even_width_and_key_value_heads_divide_the_heads() -> None:
    build(ModelRecipe, hidden_size=48, attention_heads=8, key_value_heads=4)
    with pytest.raises(RecipeError, match=r"hidden_size.*multiple of 2 x attention_heads \(16\)"):
        build(ModelRecipe, hidden_size=40, attention_heads=8)
    with pytest.raises(RecipeError, match=r"key_value_heads.*divisor of attention_heads \(8\)"):
        build(ModelRecipe, attention_heads=8, key_value_heads=3)


def test_a_signal_has_a_minimum_or_a_maximum() -> None:
    build(SignalBound, minimum=None, maximum=1.0)
    with pytest.raises(RecipeError, match="a minimum, a maximum, or both in order"):
        build(SignalBound, minimum=None, maximum=None)


def test_two_benchmarks_have_two_names() -> None:
    first, second = ({"name": name, "uri": "u", "fields": ["f"]} for name in "ab")
    build(DecontaminateRecipe, benchmarks=[first, second])
    with pytest.raises(RecipeError, match="different names"):
        build(DecontaminateRecipe, benchmarks=[first, first])


@pytest.mark.parametrize("kind", ["emails", "ip_addresses", "phone_numbers", "secrets"])
def test_scrubbing_needs_at_least_one_kind(kind: str) -> None:
    none = dict.fromkeys(("emails", "ip_addresses", "phone_numbers", "secrets"), False)
    assert build(ScrubRecipe, enabled=True, **none | {kind: True}).enabled
    build(ScrubRecipe, enabled=False, **none)
    with pytest.raises(RecipeError, match=r"scrub\.enabled"):
        build(ScrubRecipe, enabled=True, **none)


def test_a_recipe_names_the_files_that_decide_its_corpus() -> None:
    benchmarks = [
        {"name": name, "uri": uri, "fields": ["f"]} for name, uri in (("a", "s3://b/2"), ("b", "s3://b/1"))
    ]
    named = build(CorpusRecipe, tokenizer={"uri": "s3://b/2"}, decontaminate={"benchmarks": benchmarks})
    assert named.references == ("s3://b/1", "s3://b/2")
    assert build(CorpusRecipe).references == ()
