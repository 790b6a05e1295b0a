"""Build small random models in the serving format, with the pipeline's own exporter.

.venvs/export/bin/python tests/serving/make_model.py FOLDER tiny|bench

``tiny`` writes FOLDER/plain, FOLDER/chat (the same weights, a tokenizer with a chat template) and
FOLDER/endless (a context so long that no test lives to see a full one end);
``bench`` writes FOLDER/bench, a Llama of about 6.5 million parameters. Runs in the export environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from include.contracts.manifests import FileEntry, ModelManifest, ParentRef
from include.contracts.records import canonical_json
from training.export.openvino import convert

CONTEXT_LENGTH = 4096
ENDLESS_LENGTH = 131072
END_OF_TEXT = "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('only users speak first') }}{% endif %}"
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"
)
SHAPES = {
    "tiny": {"vocabulary": 400, "hidden": 64, "mlp": 128, "layers": 2, "heads": 4},
    "bench": {"vocabulary": 8192, "hidden": 256, "mlp": 688, "layers": 6, "heads": 8},
}


def main(folder: Path, size: str) -> int:
    shape = SHAPES[size]
    tokenizer = make_tokenizer(shape["vocabulary"])
    model = make_model(shape, shape["vocabulary"])
    templates = {"plain": None, "chat": CHAT_TEMPLATE} if size == "tiny" else {size: None}
    for name, template in templates.items():
        tokenizer.chat_template = template
        with tempfile.TemporaryDirectory() as source:
            model.save_pretrained(source)
            tokenizer.save_pretrained(source)
            convert(Path(source), folder / name)
        write_manifest(folder / name, model, CONTEXT_LENGTH)
    if size == "tiny":
        shutil.copytree(folder / "plain", folder / "endless", ignore=shutil.ignore_patterns("manifest.json"))
        write_manifest(folder / "endless", model, ENDLESS_LENGTH)
    return 0


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    text = (Path(torch.__file__).parent / "nn" / "functional.py").read_text()
    core.train_from_iterator(
        [*text.splitlines(), "東京 café naïve ☕ 😀"] * 2,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def make_model(shape: dict[str, int], vocabulary: int) -> LlamaForCausalLM:
    """Random weights, wide enough that greedy text varies; greedy text never ends by itself."""
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape["hidden"],
        intermediate_size=shape["mlp"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"] // 2,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=shape["vocabulary"] > 1000,
        initializer_range=0.08,
    )
    model = LlamaForCausalLM(config).float().eval()
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    with torch.no_grad():
        model.lm_head.weight[0] = 0.0  # a logit of 0 is never the largest, yet can be sampled
    return model


def write_manifest(folder: Path, model: LlamaForCausalLM, context_length: int) -> None:
    files = tuple(
        FileEntry(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    )
    parent = ParentRef("s3://nexus-llm-models/runs/test/model/manifest.json", "0" * 64)
    corpus = ParentRef("s3://nexus-llm-processed/corpus/test/manifest.json", "1" * 64)
    parameters = sum(weights.numel() for weights in model.parameters())
    manifest = ModelManifest("openvino", "test-run", 40, parent, corpus, parameters, context_length, files)
    (folder / "manifest.json").write_bytes(canonical_json(manifest))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))
