"""A checkpoint cannot run code, and the error names what it holds; its author also signed its files."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, BytesStorageMetadata

from include.contracts.errors import IntegrityError
from tests.training.corpora import RECIPE, Corpus, LocalRun, failure, make_run, sign
from training.state_loading import Unpickler, UnreadableCheckpoint, not_finite


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self._witness),)


def in_the_metadata(folder: Path, witness: Path) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    metadata.planner_data["hostile"] = Hostile(witness)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def by_way_of_an_admitted_module(folder: Path, witness: Path) -> None:
    """Protocol 4 walks dotted names: ``pathlib`` + ``os.mkdir``."""

    def text(content: str) -> bytes:
        return b"\x8c" + bytes([len(content)]) + content.encode()

    call = text("pathlib") + text("os.mkdir") + b"\x93" + text(str(witness)) + b"\x85R."
    (folder / ".metadata").write_bytes(b"\x80\x04" + call)


def in_a_setting_of_the_optimiser(folder: Path, witness: Path) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    settings = {
        name for name, kind in metadata.state_dict_metadata.items() if isinstance(kind, BytesStorageMetadata)
    }
    place = next(place for index, place in metadata.storage_data.items() if index.fqn in settings)
    content = io.BytesIO()
    torch.save(Hostile(witness), content)
    path = folder / place.relative_path
    place.offset, place.length = path.stat().st_size, len(content.getvalue())
    path.write_bytes(path.read_bytes() + content.getvalue())
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


class Fetched:
    """Is unpickled by ``getattr``, as members of enums are that Python 3.11.2 wrote."""

    def __init__(self, owner: Any, name: str) -> None:
        self._of = (owner, name)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, str]]:
        return getattr, self._of


def by_an_attribute_of_an_admitted_class(folder: Path, witness: Path) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    metadata.planner_data["hostile"] = Fetched(PosixPath, "mkdir")
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


@pytest.mark.parametrize("member", _MEM_FORMAT_ENCODING)
def test_a_member_of_an_enum_is_read_however_python_wrote_it(member: _MEM_FORMAT_ENCODING) -> None:
    for written in (member, Fetched(_MEM_FORMAT_ENCODING, member.name)):
        assert Unpickler(io.BytesIO(pickle.dumps(written)), "metadata").load() is member


@pytest.mark.parametrize("name", ["__reduce_ex__", "mro", "__class__"])
def test_nothing_else_of_an_enum_is_fetched(name: str) -> None:
    pickled = io.BytesIO(pickle.dumps(Fetched(_MEM_FORMAT_ENCODING, name)))
    with pytest.raises(IntegrityError, match=f"getattr of _MEM_FORMAT_ENCODING.{name}"):
        Unpickler(pickled, "metadata").load()


@pytest.mark.parametrize(
    ("tamper", "named", "ranks"),
    [
        (in_the_metadata, ".metadata: holds more than data; got posix.mkdir", 2),
        (by_way_of_an_admitted_module, ".metadata: holds more than data; got pathlib.os.mkdir", 1),
        (by_an_attribute_of_an_admitted_class, "data; got builtins.getattr of PosixPath.mkdir", 1),
        (in_a_setting_of_the_optimiser, "holds more than data; got posix.mkdir", 1),
    ],
)
def test_a_checkpoint_cannot_run_code_in_the_job(
    tmp_path: Path,
    uninterrupted: tuple[LocalRun, str],
    corpus: Corpus,
    tamper: Callable[[Path, Path], None],
    named: str,
    ranks: int,
) -> None:
    run = make_run(tmp_path / "run", corpus)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    newest = run.checkpoints / f"step_{RECIPE.steps}"
    tamper(newest, tmp_path / "witness")
    sign(newest)
    code, output = run.finish("--ranks", str(ranks))
    assert code == 1, output
    assert not (tmp_path / "witness").exists()
    assert named in failure(run)


class Broken:
    """Is unpickled by a call of an admitted class that fails."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return torch.Size, ("x",)


def forged(folder: Path, field: str, value: Any) -> None:
    """Let the metadata of a checkpoint name other bytes for its first value."""
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    place = next(iter(metadata.storage_data.values()))
    setattr(place, field, value)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("relative_path", "../outside"),
        ("relative_path", "/etc/hostname"),
        ("relative_path", "."),
        ("relative_path", "a\0b"),
        ("relative_path", 5),
        ("offset", -1),
        ("offset", 2**70),
        ("offset", "0"),
        ("length", 2**60),
        ("length", "8"),
    ],
)
def test_metadata_that_names_bytes_outside_of_the_files_is_refused(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], field: str, value: Any
) -> None:
    folder = tmp_path / "step_12"
    shutil.copytree(uninterrupted[0].checkpoints / "step_12", folder)
    assert not_finite(folder) == ""
    shutil.copyfile(folder / "__0_0.distcp", tmp_path / "outside")
    forged(folder, field, value)
    with pytest.raises(UnreadableCheckpoint, match=r"names bytes that are not in its files"):
        not_finite(folder)


def test_metadata_whose_classes_cannot_be_made_is_malformed(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str]
) -> None:
    folder = tmp_path / "step_12"
    shutil.copytree(uninterrupted[0].checkpoints / "step_12", folder)
    (folder / ".metadata").write_bytes(pickle.dumps(Broken()))
    with pytest.raises(UnreadableCheckpoint, match="cannot be read; got TypeError"):
        not_finite(folder)
