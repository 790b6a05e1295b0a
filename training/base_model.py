"""Loads a base model, whose weights a run starts with, from a folder in the Hugging Face layout.

The weights may be one ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names, as
for Llama 3.1 8B. The output may be tied to the embeddings or not, and the vocabulary may be padded beyond
that of the tokenizer. Every RoPE scaling that transformers reads from the configuration is accepted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.errors import InputError, IntegrityError, RecipeError
from include.contracts.manifests import CorpusManifest, ModelManifest
from include.contracts.records import parse_json
from include.object_store.verification import file_entry, verify
from include.recipes.training import ModelRecipe
from training.finite import require_finite
from training.pretrained import (
    load_pretrained,
    one_line,
    require_plain_configuration,
    require_sound_weights,
)

if TYPE_CHECKING:
    from transformers import LlamaConfig


def load_base_model(folder: Path, shape: ModelRecipe, corpus: CorpusManifest) -> Any:
    """Load the LlamaForCausalLM in ``folder`` in float32.

    Raises InputError if the model does not fit the corpus, RecipeError if it does not fit the recipe's
    ``shape``, and IntegrityError if files are missing or damaged or if a weight is not finite.
    """
    from transformers import LlamaForCausalLM

    _require_files(folder)
    _require_same_tokenizer(folder, corpus)
    kind = require_plain_configuration(folder).get("model_type")
    if kind != "llama":
        raise InputError("is not a Llama", where=str(folder), expected="model_type llama", got=repr(kind))
    _require_fit(_configuration(folder), shape, corpus, str(folder))
    model = load_pretrained(LlamaForCausalLM, folder)
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
    require_sound_weights(folder)
    manifest = folder / "manifest.json"
    if manifest.is_file():
        for entry in parse_json(ModelManifest, manifest.read_bytes(), where=str(manifest)).files:
            if not (folder / entry.path).is_file():
                raise IntegrityError("is missing", where=str(folder / entry.path))
            verify(folder / entry.path, entry)


def _configuration(folder: Path) -> LlamaConfig:
    from transformers import LlamaConfig

    try:
        return LlamaConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(
            "is not a valid configuration of a Llama",
            where=str(folder / "config.json"),
            got=one_line(error),
            remedy="compare it with the published one of this model",
        ) from error


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
