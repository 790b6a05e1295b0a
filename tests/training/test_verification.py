"""Token shards are verified next to the first steps; no checkpoint and no model counts before that."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import IntegrityError
from include.contracts.records import canonical_json
from include.object_store.verification import file_entry
from tests.training.corpora import Corpus, LocalRun, failure, losses, make_run, write_megatron
from training.packed_tokens import PackedTokens, Window
from training.tokens import TokenFile, require_known_ids
from training.verification import ShardOnDisk, ShardVerification, verify_shard


def on_disk(folder: Path, name: str, documents: list[list[int]], dtype: type = np.uint16) -> ShardOnDisk:
    write_megatron(folder / name, documents, dtype)
    path = folder / f"{name}.bin"
    return ShardOnDisk(TokenFile(folder / name), path, file_entry(path, path.name))


def test_a_shard_as_promised_is_verified(tmp_path: Path) -> None:
    shards = [on_disk(tmp_path, f"s-{number}", [[1, 2, 3], [4]]) for number in range(3)]
    verification = ShardVerification(shards, 5)
    verification.start()
    verification.wait()
    assert verification.bytes_verified == sum(shard.entry.size_bytes for shard in shards)
    assert not verification.failed


def test_overwritten_tokens_are_noticed_though_their_ids_are_known(tmp_path: Path) -> None:
    good, bad = on_disk(tmp_path, "good", [[1, 2]]), on_disk(tmp_path, "bad", [[1, 2, 3], [4, 0]])
    np.array([1, 2, 3, 3, 0], dtype=np.uint16).tofile(bad.path)
    verification = ShardVerification([good, bad], 5)
    verification.start()
    with pytest.raises(
        IntegrityError, match=r"bad\.bin: the token shard is damaged; expected SHA-256 \w{64}"
    ):
        verification.wait()
    assert verification.failed
    with pytest.raises(IntegrityError):
        verification.check()


@given(st.integers(0, 59), st.sampled_from([300, 65_535]))
def test_the_first_strange_id_is_named_by_shard_position_and_document(
    tmp_path_factory: pytest.TempPathFactory, position: int, strange: int
) -> None:
    documents = [[7] * 10 for _ in range(6)]
    documents[position // 10][position % 10] = strange
    shard = on_disk(tmp_path_factory.mktemp("shard"), "code-3", documents)
    place = rf"token shard 'code-3', token {position} \(in document {position // 10}\)"
    with pytest.raises(IntegrityError, match=rf"{place}: .*expected ids from 0 to 299; got {strange}"):
        verify_shard(shard, 300)
    with pytest.raises(IntegrityError, match=place):
        require_known_ids(shard.tokens, 0, 60, 300)
    assert len(require_known_ids(shard.tokens, 0, position, 300)) == position


def test_a_negative_id_is_strange_too(tmp_path: Path) -> None:
    shard = on_disk(tmp_path, "wide", [[5, 70_000], [-1]], np.int32)
    with pytest.raises(IntegrityError, match=r"'wide', token 2 \(in document 1\).*got -1"):
        verify_shard(shard, 80_000)


def test_a_window_with_a_strange_id_is_refused_before_it_reaches_the_model(tmp_path: Path) -> None:
    write_megatron(tmp_path / "one", [[1, 2, 3]])
    write_megatron(tmp_path / "two", [[1] * 10, [2, 99, 3]])
    packed = PackedTokens([("s", TokenFile(tmp_path / "one")), ("s", TokenFile(tmp_path / "two"))], 8, 50)
    assert packed.read(Window("s", 0)).tolist() == [1, 2, 3, 1, 1, 1, 1, 1, 1]
    with pytest.raises(IntegrityError, match=r"'two', token 11 \(in document 1\)"):
        packed.read(Window("s", 1))


def overwrite(path: Path, tokens: list[int], at: int) -> None:
    content = np.fromfile(path, dtype=np.uint16)
    content[at : at + len(tokens)] = tokens
    content.tofile(path)


def copy_of(corpus: Corpus, folder: Path) -> Corpus:
    return Corpus(Path(shutil.copytree(corpus.root, folder)), corpus.manifest)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_damaged_shard_ends_the_run_before_a_checkpoint_counts(
    tmp_path: Path, corpus: Corpus, ranks: int
) -> None:
    damaged = copy_of(corpus, tmp_path / "corpus")
    overwrite(damaged.root / "tokens/prose-1.bin", [5] * 400, at=1000)
    run = make_run(tmp_path / "run", damaged, checkpoint_every_steps=1)
    code, output = run.finish("--ranks", str(ranks))
    assert code == 1, output
    assert "prose-1.bin: the token shard is damaged" in failure(run)
    assert list(run.checkpoints.glob("*/complete.json")) == []
    assert not run.model.exists()


def test_a_finished_run_is_not_exported_from_damaged_shards(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    damaged = copy_of(corpus, tmp_path / "corpus")
    overwrite(damaged.root / "tokens/code-0.bin", [5], at=3)
    run = make_run(tmp_path / "run", damaged)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    code, output = run.finish()
    assert code == 1 and losses(output) == {}
    assert "code-0.bin: the token shard is damaged" in failure(run)
    assert not run.model.exists()


def test_ids_beyond_the_vocabulary_are_named_though_the_manifest_lists_their_bytes(
    tmp_path: Path, corpus: Corpus
) -> None:
    strange = copy_of(corpus, tmp_path / "corpus")
    path = strange.root / "tokens/code-1.bin"
    overwrite(path, [60_000] * 40, at=500)
    entry = file_entry(path, "tokens/code-1.bin")
    files = tuple(entry if e.path == entry.path else e for e in corpus.manifest.files)
    manifest = replace(corpus.manifest, files=files)
    (strange.root / "manifest.json").write_bytes(canonical_json(manifest))
    run = make_run(tmp_path / "run", Corpus(strange.root, manifest), steps=400)
    code, output = run.finish()
    assert code == 1, output
    assert "token shard 'code-1', token 5" in failure(run)
    assert "expected ids from 0 to 299; got 60000" in failure(run)


def test_the_marker_of_a_checkpoint_waits_for_the_verification(tmp_path: Path) -> None:
    """Held up here by a shard that is a pipe, whose bytes come late."""
    shard = on_disk(tmp_path, "slow", [[1, 2, 3]])
    content = shard.path.read_bytes()
    shard.path.unlink()
    import os

    os.mkfifo(shard.path)
    verification = ShardVerification([shard], 5)
    verification.start()
    waiting = threading.Thread(target=verification.wait, daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    shard.path.write_bytes(content)
    waiting.join(10)
    assert not waiting.is_alive() and verification.bytes_verified == len(content)
