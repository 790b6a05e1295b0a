"""Nats of each held-out document under a model, or under token frequencies.

A document is scored from its first token on, with the end-of-text token before it; it is cut into windows of
the model's context, so a token is predicted from at most one context of its own document.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from include.contracts.errors import InputError
from include.contracts.evaluation import ModelScores, SubsetScore
from training.held_out import HeldOut, HeldOutDocument
from training.tokens import TokenIds
from training.unigrams import TokenCounts

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

_BATCH_WINDOWS = 32
_IGNORED = -100


def score_model(name: str, folder: Path, held_out: HeldOut, context_length: int) -> ModelScores:
    """Score the safetensors model in ``folder``.

    A model with another tokenizer than the corpus's reads the same text through its own, and its own
    end-of-text token where the document has one: both are charged for the text and for its end.
    """
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    model.eval().to(device)
    scores = {}
    done, total = 0, sum(len(documents) for documents in held_out.subsets.values())
    for subset, documents in held_out.subsets.items():
        sequences, start_id = _sequences(documents, held_out, folder)
        losses = _document_losses(model, sequences, start_id, context_length)
        scores[subset] = _subset_score(documents, losses)
        done += len(documents)
        print(f"progress: evaluate {name} {done}/{total} documents", flush=True)
    return ModelScores(name, scores)


def score_unigrams(counts: TokenCounts, held_out: HeldOut) -> ModelScores:
    """Score every token by its add-one-smoothed frequency in the training split."""
    log_probabilities = np.log((counts + 1) / (counts.sum() + len(counts)))
    scores = {}
    for subset, documents in held_out.subsets.items():
        losses = [float(-log_probabilities[document.tokens].sum()) for document in documents]
        scores[subset] = _subset_score(documents, losses)
    return ModelScores("unigram", scores)


def _sequences(
    documents: list[HeldOutDocument], held_out: HeldOut, folder: Path
) -> tuple[list[TokenIds], int]:
    """The documents as the model in ``folder`` reads them, and its end-of-text token."""
    own = (folder / "tokenizer.json").read_bytes()
    if own == held_out.tokenizer:
        return [document.tokens for document in documents], held_out.end_of_text_id
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(own)
    # as the corpus was encoded: a special token that is spelled out in a text is ordinary characters
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    end_id = _end_of_text_id(tokenizer, folder / "tokenizer_config.json")
    encoded = tokenizer.encode_batch([document.text for document in documents], add_special_tokens=False)
    sequences = []
    for document, encoding in zip(documents, encoded, strict=True):
        # a document that was cut ends in its text
        whole = document.tokens[-1:].tolist() == [held_out.end_of_text_id]
        sequences.append(np.asarray([*encoding.ids, end_id] if whole else encoding.ids, dtype=np.int64))
    return sequences, end_id


def _end_of_text_id(tokenizer: Tokenizer, configuration: Path) -> int:
    """The token that ends a document in the model's own corpus, which another corpus may not know."""
    name = json.loads(configuration.read_bytes()).get("eos_token")
    end_id = tokenizer.token_to_id(name) if isinstance(name, str) else None
    if end_id is None:
        raise InputError(
            "names no token that ends a document",
            where=str(configuration),
            expected="eos_token, a token of tokenizer.json",
            got=repr(name),
        )
    return int(end_id)


def _document_losses(
    model: Any, sequences: list[TokenIds], start_id: int, context_length: int
) -> list[float]:
    """Sum of nats per document."""
    import torch
    from torch.nn import functional

    sums = [0.0] * len(sequences)
    with torch.inference_mode():
        for owners, inputs, targets in _batches(sequences, start_id, context_length):
            logits = model(inputs.to(model.device)).logits.float()
            losses = functional.cross_entropy(
                logits.flatten(0, 1),
                targets.flatten().to(model.device),
                ignore_index=_IGNORED,
                reduction="none",
            )
            rows = losses.view(targets.shape).double().sum(dim=1).tolist()
            for owner, loss in zip(owners, rows, strict=True):
                sums[owner] += loss
    return sums


def _batches(
    sequences: list[TokenIds], start_id: int, context_length: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """(document numbers, inputs, targets) of windows of similar length; padding is ignored."""
    import torch

    windows = []
    for number, tokens in enumerate(sequences):
        previous = np.concatenate(([start_id], tokens[:-1]))
        for start in range(0, len(tokens), context_length):
            stop = start + context_length
            windows.append((number, previous[start:stop], tokens[start:stop]))
    windows.sort(key=lambda window: len(window[1]))
    for first in range(0, len(windows), _BATCH_WINDOWS):
        batch = windows[first : first + _BATCH_WINDOWS]
        width = max(len(inputs) for _, inputs, _ in batch)
        inputs = torch.full((len(batch), width), start_id, dtype=torch.long)
        targets = torch.full((len(batch), width), _IGNORED, dtype=torch.long)
        for row, (_, given, wanted) in enumerate(batch):
            inputs[row, : len(given)] = torch.from_numpy(given)
            targets[row, : len(wanted)] = torch.from_numpy(wanted)
        yield [number for number, _, _ in batch], inputs, targets


def _subset_score(documents: list[HeldOutDocument], losses: list[float]) -> SubsetScore:
    tokens = sum(len(document.tokens) for document in documents)
    text_bytes = sum(document.text_bytes for document in documents)
    total = math.fsum(losses)
    mean = total / tokens if tokens else 0.0
    return SubsetScore(
        documents=len(documents),
        tokens=tokens,
        text_bytes=text_bytes,
        loss_nats_per_token=mean,
        # beyond this a perplexity says nothing, and exp overflows
        perplexity=math.exp(min(mean, 700.0)) if math.isfinite(mean) else mean,
        bits_per_byte=total / math.log(2) / max(1, text_bytes),
        document_losses=tuple(losses),
    )
