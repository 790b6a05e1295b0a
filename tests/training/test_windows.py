"""Windows score every token once, with enough context, in batches that fit into memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.corpora import ROOT
from training.windows import (
    ACTIVATION_BYTES,
    LOGIT_BYTES,
    activation_bytes,
    batches,
    logit_rows,
    spans,
    windows,
)


@given(st.integers(0, 400), st.integers(1, 64))
def test_every_token_is_scored_once_with_a_quarter_of_a_context_before_it(tokens: int, context: int) -> None:
    scored: list[int] = []
    for span in spans(tokens, context):
        assert 0 <= span.start <= span.scored_from < span.stop <= tokens
        assert span.stop - span.start == min(context, tokens)
        for position in range(span.scored_from, span.stop):
            assert position - span.start >= min(position, context // 4)
            scored.append(position)
    assert scored == list(range(tokens))


@given(st.lists(st.integers(1, 90), min_size=1, max_size=20), st.integers(2, 32))
def test_windows_hold_each_document_with_its_predecessors(lengths: list[int], context: int) -> None:
    documents = [np.arange(1, length + 1, dtype=np.int64) + 1000 * i for i, length in enumerate(lengths)]
    found: dict[int, list[int]] = {}
    for window in windows(documents, 7, context):
        for given_id, wanted in zip(window.inputs, window.targets, strict=True):
            assert given_id == (7 if wanted % 1000 == 1 else wanted - 1)
        found.setdefault(window.document, []).extend(window.targets[window.first :].tolist())
    assert {number: sorted(tokens) for number, tokens in found.items()} == {
        number: tokens.tolist() for number, tokens in enumerate(documents)
    }


@given(st.lists(st.integers(1, 500), min_size=1, max_size=50), st.integers(1, ACTIVATION_BYTES // 20))
def test_a_batch_fits_into_its_memory_or_is_one_window(lengths: list[int], bytes_per_token: int) -> None:
    documents = [np.zeros(length, dtype=np.int64) for length in lengths]
    found = windows(documents, 0, 64)
    grouped = list(batches(found, bytes_per_token, ACTIVATION_BYTES))
    assert [window for batch in grouped for window in batch] == found
    for batch in grouped:
        width = max(len(window.inputs) for window in batch)
        assert len(batch) == 1 or len(batch) * width * bytes_per_token <= ACTIVATION_BYTES


@pytest.mark.parametrize("vocabulary", [300, 8192, 128_256, 10**9])
def test_the_logits_of_a_large_vocabulary_are_computed_a_few_tokens_at_a_time(vocabulary: int) -> None:
    rows = logit_rows(vocabulary)
    assert rows == 1 or 3 * 4 * rows * vocabulary <= LOGIT_BYTES
    assert activation_bytes(4096, 14_336) == 4 * (6 * 4096 + 3 * 14_336)


#: Scores three documents of 1,500 tokens, whose logits would take 2.2 GiB, and two copies as much again.
PROGRAM = """
import resource, sys
import numpy as np, torch
from transformers import LlamaConfig, LlamaForCausalLM
from training.scoring import _document_losses
torch.set_num_threads(1)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=128_256, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=1024, tie_word_embeddings=True)).eval()
documents = [np.arange(length, dtype=np.int64) % 100 for length in [1500] * 3]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
losses = _document_losses(model, documents, 0, 1024)
assert all(0 < loss < 1e6 for loss in losses)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_scoring_with_a_vocabulary_of_128k_takes_a_bounded_amount_of_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    grown_kib = int(done.stdout)
    assert grown_kib * 1024 < 3 * LOGIT_BYTES
