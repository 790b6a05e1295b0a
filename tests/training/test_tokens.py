"""A torn or foreign token shard is an IntegrityError that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from include.contracts.errors import IntegrityError
from tests.training.corpora import Corpus, write_megatron
from training.tokens import TokenFile, open_shard


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:4] = b"ZIPP"
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("suffix", "damage", "message"),
    [
        (".bin", cut, "wrong size"),
        (".bin", Path.unlink, "is missing"),
        (".bin", flip, "wrong content"),
        (".idx", cut, "wrong size"),
        (".idx", flip, "wrong content"),
        (".idx", Path.unlink, "is missing"),
    ],
)
def test_damage_is_found(
    corpus: Corpus, tmp_path: Path, suffix: str, damage: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(corpus.root / "tokens", tmp_path / "tokens")
    shard = corpus.manifest.shards[0]
    damage(tmp_path / "tokens" / f"{shard.name}{suffix}")
    entries = {entry.path: entry for entry in corpus.manifest.files}
    with pytest.raises(IntegrityError, match=message) as caught:
        open_shard(tmp_path / "tokens", shard, entries, "tokens/", full=True)
    assert shard.name in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "damage", "message"),
    [
        (".idx", foreign, "not a Megatron index"),
        (".idx", cut, "torn index"),
        (".bin", cut, "wrong size for"),
    ],
)
def test_a_pair_is_checked_without_a_manifest_too(
    corpus: Corpus, tmp_path: Path, suffix: str, damage: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(corpus.root / "tokens", tmp_path / "tokens")
    stem = tmp_path / "tokens" / corpus.manifest.shards[0].name
    damage(stem.with_name(f"{stem.name}{suffix}"))
    with pytest.raises(IntegrityError, match=message):
        TokenFile(stem)


def test_stored_documents_come_back_as_written(tmp_path: Path) -> None:
    documents = [[5], [70000, 2, 3], [1]]
    write_megatron(tmp_path / "wide", documents, np.int32)
    found = TokenFile(tmp_path / "wide")
    assert [found.document(i).tolist() for i in range(3)] == documents


def test_shards_open_only_as_their_manifest_promises(corpus: Corpus) -> None:
    entries = {entry.path: entry for entry in corpus.manifest.files}
    shard = corpus.manifest.shards[0]
    assert open_shard(corpus.root / "tokens", shard, entries, "tokens/", full=True).count == shard.tokens
