"""Builds the model of a run: a Llama of transformers, sharded by FSDP2 if there are several ranks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.fsdp import fully_shard

from include.contracts.manifests import CorpusManifest
from include.recipes.training import ModelShape, TrainingRecipe
from training.base_model import load_base_model

if TYPE_CHECKING:
    from transformers import LlamaConfig


def llama_config(shape: ModelShape, vocabulary_size: int, end_of_text_id: int) -> LlamaConfig:
    """Return transformers' configuration of a shape. The end-of-text token is also its start token."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.feed_forward_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=shape.context_length,
        tie_word_embeddings=shape.tie_embeddings,
        bos_token_id=end_of_text_id,
        eos_token_id=end_of_text_id,
        pad_token_id=None,
    )


def build_model(recipe: TrainingRecipe, corpus: CorpusManifest, base: Path | None) -> Any:
    """Build a LlamaForCausalLM in float32 with the weights of ``base``, or random ones from the seed."""
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    model: Any
    if base is None:
        shape = recipe.model.shape()
        model = LlamaForCausalLM(llama_config(shape, corpus.vocabulary_size, corpus.end_of_text_id))
    else:
        model = load_base_model(base, recipe.model, corpus)
    return model.train()


def shard_model(model: Any, world_size: int, device: torch.device) -> None:
    """Move the model to its device and, if there are several ranks, shard its parameters."""
    model.to(device)
    if world_size > 1:
        for layer in model.model.layers:
            fully_shard(layer)
        fully_shard(model)
