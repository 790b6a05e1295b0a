"""Loads a base model, whose weights a run starts with, from a folder in the Hugging Face layout.

The weights may be one ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names, as
for Llama 3.1 8B. The output may be tied to the embeddings or not, and the vocabulary may be padded beyond
that of the tokenizer. Every RoPE scaling that transformers reads from the configuration is accepted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from include.contracts.errors import InputError, IntegrityError, NexusError, RecipeError
from include.contracts.manifests import CorpusManifest, ModelManifest
from include.contracts.records import parse_json
from include.object_store.verification import file_entry, verify
from include.recipes.training import ModelRecipe
from training.finite import require_finite

if TYPE_CHECKING:
    from transformers import LlamaConfig

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def load_base_model(folder: Path, shape: ModelRecipe, corpus: CorpusManifest) -> Any:
    """Load the LlamaForCausalLM in ``folder`` in float32.

    Raises InputError if the model does not fit the corpus, RecipeError if it does not fit the recipe's
    ``shape``, and IntegrityError if files are missing or damaged or if a weight is not finite.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    _require_files(folder)
    _require_same_tokenizer(folder, corpus)
    kind = json.loads((folder / "config.json").read_bytes()).get("model_type")
    if kind != "llama":
        raise InputError("is not a Llama", where=str(folder), expected="model_type llama", got=repr(kind))
    _require_fit(LlamaConfig.from_pretrained(folder, local_files_only=True), shape, corpus, str(folder))
    # the library's types do not know that output_loading_info makes it return a pair
    load: Any = LlamaForCausalLM.from_pretrained
    model, loaded = load(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    _require_all_weights(loaded, str(folder))
    if model.config.tie_word_embeddings and model.lm_head.weight is not model.model.embed_tokens.weight:
        raise IntegrityError(
            "has a separate output matrix, but its configuration ties it to the embeddings",
            where=str(folder),
            remedy="set tie_word_embeddings to false in config.json",
        )
    require_finite(model.state_dict().items(), where=str(folder))
    return model


def shape_of(config: LlamaConfig, context_length: int) -> dict[str, Any]:
    """Return the shape of a loaded model, by the names of a recipe's fields."""
    return {
        "hidden_size": config.hidden_size,
        "layers": config.num_hidden_layers,
        "attention_heads": config.num_attention_heads,
        "key_value_heads": config.num_key_value_heads,
        "feed_forward_size": config.intermediate_size,
        "context_length": context_length,
        "tie_embeddings": config.tie_word_embeddings,
    }


def _require_files(folder: Path) -> None:
    """Check that all files exist, and verify them if this project's manifest lists them."""
    if not (folder / "config.json").is_file():
        raise InputError("is not a model folder", where=str(folder), expected="a file config.json")
    if not (folder / _WEIGHTS).is_file() and not (folder / _INDEX).is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_file())[:10])
        raise InputError(
            "has no weights in the safetensors format",
            where=str(folder),
            expected=f"{_WEIGHTS}, or {_INDEX} and its shards",
            got=found,
            remedy="convert the model with transformers' save_pretrained",
        )
    if not (folder / _WEIGHTS).is_file():
        for name in _shards(folder / _INDEX):
            if not (folder / name).is_file():
                raise IntegrityError(
                    "is missing", where=str(folder / name), remedy=f"upload every shard that {_INDEX} names"
                )
    manifest = folder / "manifest.json"
    if manifest.is_file():
        for entry in parse_json(ModelManifest, manifest.read_bytes(), where=str(manifest)).files:
            if not (folder / entry.path).is_file():
                raise IntegrityError("is missing", where=str(folder / entry.path))
            verify(folder / entry.path, entry)


def _shards(index: Path) -> list[str]:
    try:
        names = json.loads(index.read_bytes())["weight_map"].values()
        return sorted({str(name) for name in names})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError("is not an index of safetensors shards", where=str(index)) from error


def _require_same_tokenizer(folder: Path, corpus: CorpusManifest) -> None:
    path = folder / "tokenizer.json"
    remedy = "tokenise the corpus with the tokenizer.json of the base model"
    if not path.is_file():
        raise InputError(
            "is missing, so the base model cannot be compared with the corpus",
            where=str(path),
            expected="the tokenizer with which the base model was trained",
            remedy="put the model's tokenizer.json into its folder",
        )
    found = file_entry(path, path.name).sha256
    if found != corpus.tokenizer_sha256:
        raise InputError(
            "the base model has another tokenizer than the corpus",
            where=str(path),
            expected=f"SHA-256 {corpus.tokenizer_sha256}",
            got=found,
            remedy=remedy,
        )


def _require_fit(config: LlamaConfig, shape: ModelRecipe, corpus: CorpusManifest, where: str) -> None:
    if config.vocab_size < corpus.vocabulary_size:
        raise InputError(
            "has fewer embeddings than the corpus has tokens",
            where=where,
            expected=f"at least {corpus.vocabulary_size}",
            got=str(config.vocab_size),
        )
    if config.max_position_embeddings < shape.context_length:
        raise RecipeError(
            "is longer than the context of the base model",
            where="model.context_length",
            expected=f"at most {config.max_position_embeddings}, the max_position_embeddings of {where}",
            got=str(shape.context_length),
        )
    base = shape_of(config, shape.context_length)
    asked = {name: getattr(shape, name) for name in base}
    wrong = [name for name, value in asked.items() if value is not None and value != base[name]]
    if wrong:
        raise RecipeError(
            "the recipe's shape is not the shape of the base model",
            where=", ".join(f"model.{name}" for name in wrong),
            expected=", ".join(f"{name} {base[name]}" for name in wrong),
            got=", ".join(f"{name} {asked[name]}" for name in wrong),
            remedy="use a recipe without a shape, such as 'continued', or remove these fields",
        )


def _require_all_weights(loaded: dict[str, Any], where: str) -> None:
    """Raise IntegrityError for missing or unknown weights, for which transformers only logs a warning."""
    faults: list[NexusError] = []
    for kind, what in (
        ("missing_keys", "has no weights for"),
        ("mismatched_keys", "has weights of another size for"),
        ("unexpected_keys", "has weights that its configuration does not know:"),
    ):
        names = sorted(str(name) for name in loaded.get(kind) or ())
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            faults.append(IntegrityError(f"{what} {', '.join(names[:3])}{more}", where=where))
    if faults:
        raise faults[0]
