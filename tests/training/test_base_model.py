"""Base models: taken in the forms in which they are published, refused when they do not fit."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from include.contracts.errors import NexusError
from include.recipes.training import ModelRecipe
from tests.training.corpora import RECIPE, Corpus, LocalRun, failure, make_corpus, make_run
from training.base_model import load_base_model, shape_of

EMPTY = ModelRecipe(context_length=32)
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def make_base(folder: Path, corpus: Corpus, shard_size: str = "20KB", **changes: Any) -> Path:
    """Make a tiny Llama in the form of 3.1 8B: shards, untied, padded vocabulary, llama3 RoPE."""
    settings: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "rope_parameters": LLAMA3_ROPE,
        "bos_token_id": 1,
        "eos_token_id": [0, 2, 3],
        "pad_token_id": None,
    }
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(**settings | changes))
    model.save_pretrained(folder, max_shard_size=shard_size)
    shutil.copy(corpus.root / "tokenizer/tokenizer.json", folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "model", corpus)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shard_size", ["20KB", "1GB"])
def test_a_base_model_is_loaded_weight_by_weight(
    tmp_path: Path, corpus: Corpus, tied: bool, shard_size: str
) -> None:
    folder = make_base(tmp_path / "base", corpus, shard_size, tie_word_embeddings=tied)
    assert (folder / "model.safetensors").exists() == (shard_size == "1GB")
    expected = LlamaForCausalLM.from_pretrained(folder).state_dict()
    found = load_base_model(folder, EMPTY, corpus.manifest).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_half_precision_weights_are_loaded_in_float32(tmp_path: Path, corpus: Corpus) -> None:
    folder = make_base(tmp_path / "base", corpus)
    LlamaForCausalLM.from_pretrained(folder).bfloat16().save_pretrained(folder, max_shard_size="20KB")
    model = load_base_model(folder, EMPTY, corpus.manifest)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


def test_a_shape_in_the_recipe_matches_or_is_empty(base: Path, corpus: Corpus) -> None:
    config = load_base_model(base, EMPTY, corpus.manifest).config
    shape = shape_of(config, context_length=32)
    whole = ModelRecipe(**shape)
    assert load_base_model(base, whole, corpus.manifest)
    assert load_base_model(base, replace(EMPTY, layers=2), corpus.manifest)
    others: dict[str, Any] = {
        "hidden_size": 64,
        "layers": 3,
        "attention_heads": 2,
        "key_value_heads": 4,
        "feed_forward_size": 65,
        "tie_embeddings": True,
    }
    for name, other in others.items():
        message = rf"model.{name}: .*not the shape of the base model; expected {name} \w+; got {name} {other}"
        with pytest.raises(NexusError, match=message):
            load_base_model(base, replace(EMPTY, **{name: other}), corpus.manifest)


def other_tokenizer(folder: Path, corpus: Corpus) -> None:
    """Exchange two tokens of the tokenizer, which keeps its size."""
    content = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    one, two = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (folder / "tokenizer.json").write_text(json.dumps(content))


def no_tokenizer(folder: Path, corpus: Corpus) -> None:
    (folder / "tokenizer.json").unlink()


def no_shard(folder: Path, corpus: Corpus) -> None:
    max(folder.glob("model-*.safetensors")).unlink()


def no_weights(folder: Path, corpus: Corpus) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")


def torn_index(folder: Path, corpus: Corpus) -> None:
    (folder / "model.safetensors.index.json").write_text('{"metadata": {}')


def edit_index(folder: Path, change: Callable[[dict[str, str]], Any]) -> None:
    path = folder / "model.safetensors.index.json"
    content = json.loads(path.read_text())
    change(content["weight_map"])
    path.write_text(json.dumps(content))


def unlisted_shard(folder: Path, corpus: Corpus) -> None:
    """Weights of the last layer that no shard of the index holds."""

    def drop(weight_map: dict[str, str]) -> None:
        names = [name for name in weight_map if name.startswith("model.layers.1.mlp")]
        for name in names:
            path = folder / weight_map.pop(name)
            tensors = load_file(path)
            tensors.pop(name)
            save_file(tensors, path, metadata={"format": "pt"})

    edit_index(folder, drop)


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def other_shard(folder: Path, tensor: str) -> Path:
    """Return a shard that does not hold the tensor."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    return folder / next(file for file in sorted(index.values()) if file != index[tensor])


def tensor_in_two_shards(folder: Path, corpus: Corpus) -> None:
    path = other_shard(folder, "model.norm.weight")
    edit_tensors(path, lambda tensors: tensors.update({"model.norm.weight": torch.full((32,), 7.0)}))


def index_of_another_shard(folder: Path, corpus: Corpus) -> None:
    path = other_shard(folder, "model.norm.weight")
    edit_index(folder, lambda weight_map: weight_map.update({"model.norm.weight": path.name}))


def index_outside_the_folder(folder: Path, corpus: Corpus) -> None:
    path = Path(shutil.copy(max(folder.glob("model-*")), folder.parent / "outside.safetensors"))
    edit_index(folder, lambda weight_map: weight_map.update({"lm_head.weight": f"../{path.name}"}))


def single_file_and_shards(folder: Path, corpus: Corpus) -> None:
    tensors = {name: tensor for path in folder.glob("model-*") for name, tensor in load_file(path).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def truncated_shard(folder: Path, corpus: Corpus) -> None:
    path = max(folder.glob("model-*"))
    path.write_bytes(path.read_bytes()[:-1])


def pointer_of_git_lfs(folder: Path, corpus: Corpus) -> None:
    max(folder.glob("model-*")).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )


def whole_numbers(folder: Path, corpus: Corpus) -> None:
    path = max(folder.glob("model-*"))
    edit_tensors(
        path, lambda tensors: tensors.update({name: t.to(torch.int8) for name, t in tensors.items()})
    )


def eight_bits(folder: Path, corpus: Corpus) -> None:
    kind = torch.float8_e4m3fn
    path = max(folder.glob("model-*"))
    edit_tensors(path, lambda tensors: tensors.update({name: t.to(kind) for name, t in tensors.items()}))


def configure(**fields: Any) -> Callable[[Path, Corpus], None]:
    def spoil(folder: Path, corpus: Corpus) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return spoil


def torn_configuration(folder: Path, corpus: Corpus) -> None:
    (folder / "config.json").write_text("{")


def list_as_configuration(folder: Path, corpus: Corpus) -> None:
    (folder / "config.json").write_text("[]")


def not_a_number(folder: Path, corpus: Corpus) -> None:
    path = max(folder.glob("model-*.safetensors"))
    tensors = load_file(path)
    next(iter(tensors.values())).view(-1)[0] = math.nan
    save_file(tensors, path, metadata={"format": "pt"})


def contradictory_tie(folder: Path, corpus: Corpus) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": True}))


def another_family(folder: Path, corpus: Corpus) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "mistral"}))


def small_vocabulary(folder: Path, corpus: Corpus) -> None:
    shutil.rmtree(folder)
    make_base(folder, corpus, vocab_size=299)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_tokenizer, "the base model has another tokenizer than the corpus; expected SHA-256"),
        (no_tokenizer, r"tokenizer.json: is missing, so the base model cannot be compared"),
        (no_shard, r"model-\d+-of-\d+.safetensors: is missing; to do: upload every shard"),
        (no_weights, r"no weights in the safetensors format.*expected model.safetensors, or .*pytorch_model"),
        (torn_index, "model.safetensors.index.json: is not an index of safetensors shards"),
        (unlisted_shard, r"has no weights for model.layers.1.mlp.down_proj.weight"),
        (not_a_number, r"holds NaN or infinity"),
        (contradictory_tie, "has a separate output matrix, but its configuration ties it"),
        (another_family, "is not a Llama; expected model_type llama; got 'mistral'"),
        (
            tensor_in_two_shards,
            r"differs from .*index.json: holds model.norm.weight, of which it is not the file",
        ),
        (index_of_another_shard, r"differs from .*index.json: has no tensor model.norm.weight"),
        (index_outside_the_folder, r"is not an index of safetensors shards"),
        (single_file_and_shards, "holds both model.safetensors and model.safetensors.index.json"),
        (
            truncated_shard,
            r"model-\d+-of-\d+.safetensors: is not a whole safetensors file.*to do: copy it again",
        ),
        (pointer_of_git_lfs, "is not a whole safetensors file"),
        (whole_numbers, r"holds \S+ as I8; expected one of F64, F32, F16, BF16"),
        (eight_bits, r"holds \S+ as F8_E4M3"),
        (configure(quantization_config={"quant_method": "fp8"}), "is the configuration of a quantised model"),
        (
            configure(vocab_size=384),
            r"weights of another size .* for lm_head.weight, model.embed_tokens.weight",
        ),
        (configure(num_attention_heads=3), "config.json: is not a valid configuration of a Llama"),
        (configure(hidden_act="unknown"), "cannot be loaded by transformers; got KeyError: 'unknown'"),
        (torn_configuration, "config.json: is not a model folder; got JSONDecodeError"),
        (list_as_configuration, "config.json: .*expected a JSON object; got list"),
        (small_vocabulary, "has fewer embeddings than the corpus has tokens; expected at least 300; got 299"),
    ],
)
def test_a_base_model_that_does_not_fit_or_is_damaged_is_refused(
    tmp_path: Path, base: Path, corpus: Corpus, spoil: Callable[[Path, Corpus], None], message: str
) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "base"))
    spoil(folder, corpus)
    with pytest.raises(NexusError, match=message):
        load_base_model(folder, EMPTY, corpus.manifest)


def test_a_window_longer_than_the_context_of_the_base_is_refused(base: Path, corpus: Corpus) -> None:
    with pytest.raises(NexusError, match=r"model.context_length: .*expected at most 512.*got 513"):
        load_base_model(base, ModelRecipe(context_length=513), corpus.manifest)


def test_training_goes_on_from_a_base_in_the_form_of_llama_3_and_keeps_that_form(
    tmp_path: Path, base: Path, corpus: Corpus
) -> None:
    run = make_run(tmp_path, corpus, base_model=base, steps=4, model=EMPTY)
    code, output = run.finish("--ranks", "2")
    assert code == 0, output
    config = json.loads((run.model / "config.json").read_text())
    assert (config["vocab_size"], config["tie_word_embeddings"]) == (320, False)
    assert config["rope_parameters"] == LLAMA3_ROPE
    assert config["eos_token_id"] == corpus.manifest.end_of_text_id
    assert config["max_position_embeddings"] == 512
    before = LlamaForCausalLM.from_pretrained(base).state_dict()
    after = LlamaForCausalLM.from_pretrained(run.model).state_dict()
    assert after.keys() == before.keys()
    assert not torch.equal(after["lm_head.weight"], before["lm_head.weight"])
    assert float((after["lm_head.weight"] - before["lm_head.weight"]).abs().max()) < 0.1


def test_a_run_from_another_base_does_not_resume_from_its_checkpoints(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    run = make_run(tmp_path, corpus, base_model=uninterrupted[0].model)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    code, _ = run.finish()
    assert code == 1
    assert "was made with another recipe; expected base_model_uri" in failure(run)


def test_another_tokenizer_of_the_same_size_ends_the_run_before_its_first_step(
    tmp_path: Path, corpus: Corpus, base: Path
) -> None:
    other = make_corpus(tmp_path / "corpus", end_of_text="<|end|>")
    assert other.manifest.vocabulary_size == corpus.manifest.vocabulary_size
    run = make_run(tmp_path / "run", other, RECIPE, base_model=base, model=EMPTY)
    code, output = run.finish()
    assert code == 1 and "step=1 " not in output
    assert "the base model has another tokenizer than the corpus" in failure(run)
