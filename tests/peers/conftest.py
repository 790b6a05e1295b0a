"""Corpora written by this project, and the readers of others that must find the same tokens in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from include.contracts.manifests import CorpusManifest
from include.contracts.records import parse_json
from spark_jobs.tokens.export_task import Split
from spark_jobs.tokens.sequences import Sequences, ShardFiles, open_shard

ROOT = Path(__file__).resolve().parents[2]

# Importing `streaming` imports its datasets of images and of public texts and its DataLoader as well, and
# with them torchvision and transformers. Empty modules stand for these; reader and writer are the real ones.
for _name, _names in {
    "streaming.vision": (),
    "streaming.text": (),
    "streaming.multimodal": (),
    "streaming.base.dataloader": ("StreamingDataLoader",),
}.items():
    _module = sys.modules[_name] = ModuleType(_name)
    for _attribute in _names:
        setattr(_module, _attribute, None)


@dataclass(frozen=True)
class Made:
    """A corpus and its exports, of one dtype and one split; ``tokens`` is the folder of Megatron files."""

    folder: Path
    split: Split
    manifest: CorpusManifest

    @property
    def tokens(self) -> Path:
        return self.folder / "corpus" / self.split

    @property
    def shards(self) -> list[ShardFiles]:
        entries = {entry.path: entry for entry in self.manifest.files}
        shards = self.manifest.shards if self.split is Split.TRAINING else self.manifest.held_out_shards
        return [
            ShardFiles(
                shard,
                entries[f"{self.split}/{shard.name}.bin"],
                entries[f"{self.split}/{shard.name}.documents.parquet"],
            )
            for shard in shards
        ]

    def read(self) -> Iterator[tuple[ShardFiles, Sequences]]:
        """Yield every shard as this project reads it."""
        for files in self.shards:
            with open_shard(str(self.folder / "corpus"), files, self.manifest.token_dtype) as sequences:
                yield files, sequences

    def documents(self) -> list[tuple[str, str, list[int]]]:
        """Return id, subset and tokens of every document, in order."""
        return [document for _, sequences in self.read() for document in documents_of(sequences)]


def documents_of(sequences: Sequences) -> list[tuple[str, str, list[int]]]:
    bounds = zip(sequences.starts[:-1], sequences.starts[1:], strict=True)
    tokens = [sequences.tokens[start:end].tolist() for start, end in bounds]
    ids = sequences.ids.to_pylist()
    return [(ids[i], sequences.subset, tokens[i]) for i in range(len(ids))]


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    command = [ROOT / ".venvs/spark/bin/python", ROOT / "tests/peers/make_corpora.py", folder]
    environment: dict[str, Any] = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_DIRS": str(folder / "spark"),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(params=["uint16", "int32"])
def folder(corpora: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of the corpus with one dtype."""
    return corpora / str(request.param)


@pytest.fixture(params=list(Split))
def made(folder: Path, request: pytest.FixtureRequest) -> Made:
    manifest = folder / "corpus" / "manifest.json"
    one = Made(folder, request.param, parse_json(CorpusManifest, manifest.read_bytes(), where=str(manifest)))
    assert one.manifest.token_dtype == folder.name
    assert len(one.shards) >= 2
    return one
