"""The model and its optimiser: a Llama of transformers, plain on one rank, FSDP2 on several."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.fsdp import fully_shard

from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import ModelManifest
from include.contracts.records import parse_json
from include.recipes.training import ModelRecipe, OptimiserRecipe, TrainingRecipe
from training.storage import verify

if TYPE_CHECKING:
    from transformers import LlamaConfig


def llama_config(shape: ModelRecipe, vocabulary_size: int, end_of_text_id: int) -> LlamaConfig:
    """transformers' configuration of a recipe's shape; the end-of-text token also begins and pads."""
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


def build_model(recipe: TrainingRecipe, vocabulary_size: int, end_of_text_id: int, base: Path | None) -> Any:
    """A LlamaForCausalLM in float32: the weights of ``base`` (a model folder), or fresh ones by the seed."""
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    if base is None:
        model: Any = LlamaForCausalLM(llama_config(recipe.model, vocabulary_size, end_of_text_id))
    else:
        _check_base(base)
        model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
        _check_fits(model.config, recipe.model, vocabulary_size, str(base))
    return model.train()


def shard_model(model: Any, world_size: int, device: torch.device) -> None:
    """Move to the device; spread the parameters over the ranks where there are several."""
    model.to(device)
    if world_size > 1:
        for layer in model.model.layers:
            fully_shard(layer)
        fully_shard(model)


def build_optimiser(model: torch.nn.Module, recipe: OptimiserRecipe) -> torch.optim.AdamW:
    """AdamW; norms and biases (one dimension) are not decayed."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True)


def learning_rate(recipe: OptimiserRecipe, step: int, steps: int) -> float:
    """Rate of ``step`` (from 0): linear warm-up, then a cosine down to ``final_share`` at the last step."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, steps - 1 - recipe.warmup_steps)
    share = recipe.final_share + (1 - recipe.final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return recipe.learning_rate * share


def _check_base(base: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        if not (base / name).is_file():
            raise InputError("is not a model folder", where=str(base), expected=name)
    manifest = base / "manifest.json"
    if manifest.is_file():
        for entry in parse_json(ModelManifest, manifest.read_bytes(), where=str(manifest)).files:
            if not (base / entry.path).is_file():
                raise IntegrityError("is missing", where=str(base / entry.path))
            verify(base / entry.path, entry)


def _check_fits(config: LlamaConfig, shape: ModelRecipe, vocabulary_size: int, where: str) -> None:
    if config.model_type != "llama":
        raise InputError("is not a Llama", where=where, got=str(config.model_type))
    if config.vocab_size != vocabulary_size:
        raise InputError(
            "has another vocabulary than the corpus",
            where=where,
            expected=f"{vocabulary_size} tokens",
            got=f"{config.vocab_size}",
            remedy="tokenise the corpus with the base model's tokenizer",
        )
    if config.max_position_embeddings < shape.context_length:
        raise InputError(
            "has a shorter context than the recipe",
            where=where,
            expected=f"at least {shape.context_length}",
            got=str(config.max_position_embeddings),
        )
