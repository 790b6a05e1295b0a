"""Computes the loss in nats of each held-out document by a model, or by token frequencies.

All tokens of a document are scored, the first one after an end-of-text token. Documents that are longer than
the model's context are read in overlapping windows (`training.windows`) and counted separately.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from include.contracts.errors import InputError
from include.contracts.evaluation import ModelScores, SubsetScore
from training.finite import require_finite
from training.held_out import HeldOut, HeldOutDocument
from training.memory import keep_freed_memory
from training.pretrained import load_pretrained, one_line
from training.tokens import TokenIds
from training.unigrams import TokenCounts
from training.windows import (
    ACTIVATION_BYTES,
    CPU_ACTIVATION_BYTES,
    ScoringWindow,
    activation_bytes,
    batches,
    logit_rows,
    windows,
)

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer


def score_model(name: str, folder: Path, held_out: HeldOut, context_length: int) -> ModelScores:
    """Score the safetensors model in ``folder``. Raises IntegrityError if a weight is not finite.

    A model with another tokenizer than the corpus encodes the same text with its own tokenizer and
    end-of-text token. So the losses of both include the text and its end.
    """
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_freed_memory()
    model = load_pretrained(AutoModelForCausalLM, folder)
    require_finite(model.state_dict().items(), where=f"model {name}", remedy="do not use this model")
    model.eval().to(device)
    scores = {}
    done, total = 0, sum(len(documents) for documents in held_out.subsets.values())
    for subset, documents in held_out.subsets.items():
        sequences, start_id = _sequences(documents, held_out, folder)
        _require_embeddings([*sequences, np.array([start_id])], model.config.vocab_size, f"model {name}")
        losses = _document_losses(model, sequences, start_id, context_length)
        long = [len(sequence) > context_length for sequence in sequences]
        scores[subset] = _subset_score(documents, losses, long)
        done += len(documents)
        print(f"progress: evaluate {name} {done}/{total} documents", flush=True)
    return ModelScores(name, scores)


def score_unigrams(counts: TokenCounts, held_out: HeldOut) -> ModelScores:
    """Score every token by its add-one-smoothed frequency in the training split."""
    log_probabilities = np.log((counts + 1) / (counts.sum() + len(counts)))
    scores = {}
    for subset, documents in held_out.subsets.items():
        losses = [float(-log_probabilities[document.tokens].sum()) for document in documents]
        scores[subset] = _subset_score(documents, losses, [False] * len(documents))
    return ModelScores("unigram", scores)


def _sequences(
    documents: list[HeldOutDocument], held_out: HeldOut, folder: Path
) -> tuple[list[TokenIds], int]:
    """Return the token ids of the documents for the model in ``folder``, and its end-of-text token."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError("is missing, so the model cannot read the held-out text", where=str(path))
    own = path.read_bytes()
    if own == held_out.tokenizer:
        return [document.tokens for document in documents], held_out.end_of_text_id
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(own)
    except Exception as error:  # the library raises nothing more specific
        raise InputError("is not a tokenizer", where=str(path), got=one_line(error)) from error
    # as in the corpus, a text that spells out a special token is encoded as ordinary characters
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    end_id = _end_of_text_id(tokenizer, folder / "tokenizer_config.json")
    encoded = tokenizer.encode_batch([document.text for document in documents], add_special_tokens=False)
    sequences = []
    for document, encoding in zip(documents, encoded, strict=True):
        # a truncated document has no end-of-text token
        whole = document.tokens[-1:].tolist() == [held_out.end_of_text_id]
        sequences.append(np.asarray([*encoding.ids, end_id] if whole else encoding.ids, dtype=np.int64))
    return sequences, end_id


def _end_of_text_id(tokenizer: Tokenizer, configuration: Path) -> int:
    """Return the token that ends a document in the model's own corpus."""
    try:
        name = json.loads(configuration.read_bytes()).get("eos_token")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            "is not the configuration of a tokenizer", where=str(configuration), got=one_line(error)
        ) from error
    if isinstance(name, dict):  # the form of an added token, in folders of earlier releases of transformers
        name = name.get("content")
    end_id = tokenizer.token_to_id(name) if isinstance(name, str) else None
    if end_id is None:
        raise InputError(
            "names no token that ends a document",
            where=str(configuration),
            expected="eos_token, a token of tokenizer.json",
            got=repr(name),
        )
    return int(end_id)


def _require_embeddings(sequences: list[TokenIds], vocabulary_size: int, where: str) -> None:
    """Raise InputError if a token id has no embedding, for which torch only raises an index error."""
    largest = max((int(sequence.max()) for sequence in sequences if len(sequence)), default=0)
    if largest >= vocabulary_size:
        raise InputError(
            "has fewer embeddings than its tokenizer has tokens",
            where=where,
            expected=f"more than {largest}",
            got=str(vocabulary_size),
            remedy="use the tokenizer.json with which this model was trained",
        )


def _document_losses(
    model: Any, sequences: list[TokenIds], start_id: int, context_length: int
) -> list[float]:
    """Return the sum of nats of each document."""
    import torch

    sums = [0.0] * len(sequences)
    bytes_per_token = activation_bytes(model.config.hidden_size, model.config.intermediate_size)
    limit_bytes = CPU_ACTIVATION_BYTES if model.device.type == "cpu" else ACTIVATION_BYTES
    with torch.inference_mode():
        for batch in batches(windows(sequences, start_id, context_length), bytes_per_token, limit_bytes):
            for window, nats in zip(batch, _batch_losses(model, batch, start_id), strict=True):
                sums[window.document] += nats
    return sums


def _batch_losses(model: Any, batch: list[ScoringWindow], start_id: int) -> list[float]:
    """Return the nats of the scored tokens of each window."""
    import torch

    inputs = torch.full((len(batch), max(len(window.inputs) for window in batch)), start_id)
    scored = torch.zeros(inputs.shape, dtype=torch.bool)
    for row, window in enumerate(batch):
        inputs[row, : len(window.inputs)] = torch.from_numpy(window.inputs)
        scored[row, window.first : len(window.inputs)] = True
    targets = torch.from_numpy(np.concatenate([window.targets[window.first :] for window in batch]))
    # padding follows the tokens, so it does not affect them: attention is causal
    hidden = model.base_model(input_ids=inputs.to(model.device), use_cache=False).last_hidden_state
    losses = _token_losses(model, hidden[scored.to(hidden.device)], targets.to(hidden.device))
    counts = [len(window.inputs) - window.first for window in batch]
    return [float(part.sum()) for part in torch.split(losses, counts)]


def _token_losses(model: Any, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the nats of each token, float64 of shape (tokens,). Logits are computed in parts."""
    import torch

    head, rows = model.get_output_embeddings(), logit_rows(model.config.vocab_size)
    parts = [
        torch.nn.functional.cross_entropy(head(some).float(), wanted, reduction="none").double()
        for some, wanted in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
    ]
    return torch.cat(parts)


def _subset_score(documents: list[HeldOutDocument], losses: list[float], long: list[bool]) -> SubsetScore:
    tokens = sum(len(document.tokens) for document in documents)
    text_bytes = sum(document.text_bytes for document in documents)
    total = math.fsum(losses)
    mean = total / tokens if tokens else 0.0
    long_tokens = sum(
        len(document.tokens) for document, is_long in zip(documents, long, strict=True) if is_long
    )
    long_nats = math.fsum(loss for loss, is_long in zip(losses, long, strict=True) if is_long)
    return SubsetScore(
        documents=len(documents),
        tokens=tokens,
        text_bytes=text_bytes,
        loss_nats_per_token=mean,
        # larger values mean nothing as a perplexity, and exp overflows
        perplexity=math.exp(min(mean, 700.0)) if math.isfinite(mean) else mean,
        bits_per_byte=total / math.log(2) / max(1, text_bytes),
        document_losses=tuple(losses),
        long_documents=sum(long),
        long_tokens=long_tokens,
        long_loss_nats_per_token=long_nats / long_tokens if long_tokens else 0.0,
    )
