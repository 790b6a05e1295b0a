"""A small corpus in the agreed layout, and a training run on it, for tests."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from include.contracts.manifests import CorpusManifest, ParentRef, SubsetCounts, TokenShard, TrainingRequest
from include.contracts.records import canonical_json, content_hash, to_plain
from include.object_store.verification import file_entry
from include.recipes.training import ModelRecipe, OptimiserRecipe, TrainingRecipe

ROOT = Path(__file__).parents[2]
END_OF_TEXT = "<|endoftext|>"
SUBSETS = ("code", "prose")
RECIPE = TrainingRecipe(
    name="test",
    steps=12,
    batch_sequences=4,
    micro_batch_sequences=2,
    checkpoint_every_steps=4,
    model=ModelRecipe(
        hidden_size=32,
        layers=2,
        attention_heads=2,
        key_value_heads=1,
        feed_forward_size=64,
        context_length=32,
    ),
    optimiser=OptimiserRecipe(learning_rate=5e-3, warmup_steps=2),
)


@dataclass(frozen=True)
class Corpus:
    """A corpus on this machine."""

    root: Path
    manifest: CorpusManifest

    @property
    def reference(self) -> ParentRef:
        path = self.root / "manifest.json"
        return ParentRef(str(path), content_hash(path.read_bytes()))


def write_megatron(stem: Path, documents: list[list[int]], dtype: Any = np.uint16) -> None:
    """Write a pair in the reference form, independently of the reader."""
    lengths = np.array([len(d) for d in documents], dtype=np.int32)
    pointers = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))[:-1] * np.dtype(dtype).itemsize
    np.array([t for d in documents for t in d], dtype=dtype).tofile(stem.with_name(f"{stem.name}.bin"))
    codes: dict[Any, int] = {np.uint16: 8, np.int32: 4}
    code = codes[dtype]
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(documents), len(documents) + 1)
    boundaries = np.arange(len(documents) + 1, dtype=np.int64)
    stem.with_name(f"{stem.name}.idx").write_bytes(
        header + lengths.tobytes() + pointers.astype(np.int64).tobytes() + boundaries.tobytes()
    )


def sentences(subset: str, count: int, seed: int) -> list[str]:
    """Texts with something to learn: a subset's few words in a fixed rhythm."""
    words = {
        "code": ["def", "return", "for", "in", "range", "if", "else", "print", "value", "index"],
        "prose": ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "sleeps"],
    }[subset]
    chance = random.Random(f"{subset}{seed}")
    texts = []
    for _ in range(count):
        start = chance.randrange(len(words))
        texts.append(
            " ".join(words[(start + i) % len(words)] for i in range(chance.randrange(10, 60))) + " é"
        )
    return texts


def train_tokenizer(vocabulary_size: int = 300, end_of_text: str = END_OF_TEXT) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        # its id differs from one name to another
        special_tokens=[end_of_text] if end_of_text == END_OF_TEXT else ["<unused>", end_of_text],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for s in SUBSETS for text in sentences(s, 50, 0)], trainer)
    return tokenizer


def make_corpus(
    root: Path,
    vocabulary_size: int = 300,
    held_out_per_subset: int = 15,
    end_of_text: str = END_OF_TEXT,
) -> Corpus:
    """Two subsets of 120 training documents, in two shards each."""
    tokenizer = train_tokenizer(vocabulary_size, end_of_text)
    for name in ("tokens", "held_out_tokens", "tokenizer"):
        (root / name).mkdir(parents=True)
    tokenizer.save(str(root / "tokenizer" / "tokenizer.json"))
    configuration: dict[str, str | int] = {
        "eos_token": end_of_text,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    # as the corpus job writes it, whatever model will be trained
    configuration |= {"bos_token": end_of_text, "unk_token": end_of_text, "model_max_length": 10**30}
    (root / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(configuration))
    end = tokenizer.token_to_id(end_of_text)
    assert end is not None
    shards: list[TokenShard] = []
    held: list[TokenShard] = []
    subsets: dict[str, SubsetCounts] = {}
    for subset in SUBSETS:
        texts, held_texts = sentences(subset, 120, 1), sentences(subset, held_out_per_subset, 2)
        parts = [("tokens", f"{subset}-0", texts[:60]), ("tokens", f"{subset}-1", texts[60:])]
        for folder, name, part in [*parts, ("held_out_tokens", f"{subset}-held", held_texts)]:
            documents = [[*tokenizer.encode(text).ids, end] for text in part]
            write_megatron(root / folder / name, documents)
            _write_sidecar(root / folder / f"{name}.documents.parquet", name, part, documents)
            shard = TokenShard(name, subset, len(documents), sum(map(len, documents)))
            (held if folder == "held_out_tokens" else shards).append(shard)
        trained = sum(s.tokens for s in shards if s.subset == subset)
        size = sum(len(text.encode()) for text in texts + held_texts)
        subsets[subset] = SubsetCounts(120, held_out_per_subset, size, trained, held[-1].tokens)
    files = [p for p in sorted(root.rglob("*")) if p.is_file()]
    total = len(SUBSETS) * (120 + held_out_per_subset)
    manifest = CorpusManifest(
        version="test",
        root_uri=f"{root}/",
        request=ParentRef(f"{root}/request.json", "0" * 64),
        documents_in=total,
        documents_kept=total,
        documents_held_out=len(SUBSETS) * held_out_per_subset,
        dropped={},
        tokens=sum(s.tokens for s in shards),
        tokens_held_out=sum(s.tokens for s in held),
        subsets=subsets,
        tokenizer_sha256=file_entry(root / "tokenizer" / "tokenizer.json", "tokenizer.json").sha256,
        vocabulary_size=tokenizer.get_vocab_size(),
        token_dtype="uint16",
        end_of_text_id=end,
        shards=tuple(shards),
        held_out_shards=tuple(held),
        files=tuple(file_entry(p, p.relative_to(root).as_posix()) for p in files),
    )
    (root / "manifest.json").write_bytes(canonical_json(manifest))
    return Corpus(root, manifest)


def _write_sidecar(path: Path, name: str, texts: list[str], documents: list[list[int]]) -> None:
    offsets = np.cumsum([0, *map(len, documents)])[:-1]
    columns: dict[str, Any] = {
        "id": [f"test/{name}/{i}" for i in range(len(texts))],
        "token_offset": pa.array(offsets, pa.int64()),
        "tokens": pa.array([len(d) for d in documents], pa.int32()),
        "text_bytes": pa.array([len(t.encode()) for t in texts], pa.int64()),
    }
    pq.write_table(pa.table(columns), path)


@dataclass(frozen=True)
class LocalRun:
    """A training run: its folder, request and ``/opt/ml``, all under one folder."""

    folder: Path

    @property
    def request(self) -> Path:
        return self.folder / "run" / "training_request.json"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "run" / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "run" / "model"

    @property
    def ml_root(self) -> Path:
        return self.folder / "ml"

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Start the launcher as a real process; its output is line by line on ``stdout``."""
        settings = {"NEXUS_ML_ROOT": str(self.ml_root), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "training.launcher", "--request", str(self.request)]
        return subprocess.Popen(
            [*command, "--threads-per-rank", "1", *options],
            env=os.environ | settings | environment, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self, *options: str, **environment: str) -> tuple[int, str]:
        """Return exit code and output of a launcher that is left alone."""
        process = self.start(*options, **environment)
        try:
            output, _ = process.communicate(timeout=240)
        finally:
            process.kill()
        return process.returncode, output


def make_run(
    folder: Path,
    corpus: Corpus,
    recipe: TrainingRecipe = RECIPE,
    base_model: Path | None = None,
    **changes: Any,
) -> LocalRun:
    """Make a run with its request and channels."""
    run = LocalRun(folder)
    recipe = replace(recipe, **changes)
    (folder / "run").mkdir(parents=True, exist_ok=True)
    base = str(base_model) if base_model else ""
    request = TrainingRequest("test-run", f"{folder}/run/", corpus.reference, to_plain(recipe), base)
    run.request.write_bytes(canonical_json(request))
    data = run.ml_root / "input" / "data"
    data.mkdir(parents=True, exist_ok=True)
    links = {"tokens": corpus.root / "tokens", "tokenizer": corpus.root / "tokenizer"}
    if base_model:
        links["base_model"] = base_model
    for name, target in links.items():
        if not (data / name).exists():
            (data / name).symlink_to(target)
    return run


def configure(run: LocalRun, name: str, content: object) -> None:
    """Write one of SageMaker's configuration files."""
    path = run.ml_root / "input" / "config" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def sign(folder: Path) -> None:
    """Give the marker of a checkpoint the hashes of the files that are there now."""
    path = folder / "complete.json"
    marker = json.loads(path.read_bytes())
    names = [entry["path"] for entry in marker["files"]]
    marker["files"] = [to_plain(file_entry(folder / name, name)) for name in names]
    path.write_bytes(canonical_json(marker))


def losses(output: str) -> dict[int, str]:
    """Return the loss of each step as the trainer printed it."""
    return {int(step): loss for step, loss in re.findall(r"^step=(\d+) loss=(\S+)", output, re.MULTILINE)}


def interrupt_at(process: subprocess.Popen[str], step: int, number: signal.Signals) -> str:
    """Send the signal when the step's line is seen. Return the whole output."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(f"step={step} "):
            process.send_signal(number)
    process.wait(timeout=60)
    return "".join(seen)


def failure(run: LocalRun) -> str:
    """Return the text that SageMaker would show as the reason of a failure."""
    return (run.ml_root / "output/failure").read_text()
