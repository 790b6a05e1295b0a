"""The export keeps the model's answers, and refuses what it cannot vouch for."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import content_hash, parse_json
from training.model_store import publish_model

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs" / "export" / "bin" / "python"


def write_tiny_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["def main(): return the licence of the package"] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=0, eos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ParentRef:
    base = tmp_path_factory.mktemp("model")
    write_tiny_model(base / "built")
    parent = ParentRef("s3://bucket/checkpoint", "0" * 64)
    manifest = ModelManifest("safetensors", "run", 7, parent, parent, 12345, 64, ())
    return publish_model(base / "built", str(base / "published"), manifest)


def run_export(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    command = [str(PYTHON), "-m", "training.export.openvino", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def exported(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("export") / "serving_model"
    done = run_export("--model", model.uri, "--model-sha256", model.sha256, "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert "largest difference of a logit" in done.stdout
    return output


def test_the_export_lists_every_file_and_names_the_model_it_was_made_from(model: Any, exported: Any) -> None:
    manifest = parse_json(ModelManifest, (exported / "manifest.json").read_bytes(), where="manifest")
    listed = {entry.path: entry for entry in manifest.files}
    assert {"openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml"} <= set(listed)
    assert manifest.format == "openvino" and manifest.parent == model
    assert (manifest.run, manifest.step, manifest.context_length) == ("run", 7, 64)
    for path, entry in listed.items():
        assert content_hash((exported / path).read_bytes()) == entry.sha256


def test_weights_stay_in_full_precision(exported: Any) -> None:
    parameters = (exported / "openvino_model.bin").stat().st_size
    graph = (exported / "openvino_model.xml").read_text()
    assert parameters > 4 * 300 * 32  # the embedding alone, in float32
    assert 'type="Const"' in graph and 'element_type="i8"' not in graph


@pytest.mark.parametrize("damage", ["model.safetensors", "config.json"])
def test_a_damaged_model_is_refused_by_file(model: Any, tmp_path: Path, damage: Any) -> None:
    source = Path(model.uri).parent
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = (tmp_path / damage).read_bytes()
    (tmp_path / damage).write_bytes(content[: len(content) // 2])
    done = run_export("--model", str(tmp_path / "manifest.json"), "--output", str(tmp_path / "out"))
    assert done.returncode == 1
    assert damage in done.stderr and "wrong size" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_manifest_other_than_the_one_that_was_judged_is_refused(model: Any, tmp_path: Path) -> None:
    done = run_export("--model", model.uri, "--model-sha256", "0" * 64, "--output", str(tmp_path / "out"))
    assert done.returncode == 1 and "the manifest changed" in done.stderr


def test_a_model_in_another_format_is_refused(model: Any, exported: Any, tmp_path: Path) -> None:
    done = run_export("--model", str(exported / "manifest.json"), "--output", str(tmp_path / "out"))
    assert done.returncode == 1 and "expected format safetensors; got openvino" in done.stderr
    assert json.loads((exported / "manifest.json").read_text())["format"] == "openvino"


def test_weights_in_the_format_that_is_unpickled_are_refused(model: Any, tmp_path: Path) -> None:
    built, witness = tmp_path / "built", tmp_path / "witness"
    shutil.copytree(Path(model.uri).parent, built)
    (built / "model.safetensors").unlink()
    (built / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile(witness)))
    parent = ParentRef("s3://bucket/checkpoint", "0" * 64)
    manifest = ModelManifest("safetensors", "run", 7, parent, parent, 12345, 64, ())
    published = publish_model(built, str(tmp_path / "published"), manifest)
    done = run_export("--model", published.uri, "--output", str(tmp_path / "out"))
    assert done.returncode == 1 and "has no weights in the safetensors format" in done.stderr
    assert not witness.exists() and not (tmp_path / "out").exists()


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self._witness),)
