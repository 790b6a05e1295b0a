"""Checkpoints are saved also when storage refuses a part of the work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from include.contracts.errors import InputError, IntegrityError, NexusError
from include.contracts.manifests import FileEntry
from include.object_store import Folder
from training.checkpoint import CheckpointSaver
from training.checkpoint_store import CheckpointStore, TrainerState, TrainingProgress
from training.identity import CheckpointIdentity
from training.ranks import Agreement, RankPosition, join
from training.restore import Restorer


class UndeletableFolder(Folder):
    """Takes writes, and refuses to delete the first checkpoint, as a bucket policy may."""

    def delete(self, name: str) -> None:
        if name.startswith("step_1/") and self.exists(name):
            raise PermissionError(f"AccessDenied: {name}")
        super().delete(name)


class RefusingFolder(Folder):
    """Refuses to read the files whose names end with ``refused``."""

    refused = ""

    def read(self, name: str) -> bytes:
        self._check(name)
        return super().read(name)

    def fetch(self, entry: FileEntry, path: Path) -> None:
        self._check(entry.path)
        super().fetch(entry, path)

    def _check(self, name: str) -> None:
        if self.refused and name.endswith(self.refused):
            raise InputError("access denied", where=self.uri(name))


@pytest.fixture
def alone() -> Iterator[Agreement]:
    _, saving = join(RankPosition(rank=0, local_rank=0, world_size=1, threads=1))
    yield saving
    dist.destroy_process_group()


def test_old_checkpoints_that_cannot_be_deleted_do_not_end_the_run(tmp_path: Path, alone: Agreement) -> None:
    store = CheckpointStore(UndeletableFolder(str(tmp_path / "checkpoints")))
    warnings: list[str] = []
    saver = CheckpointSaver(
        store, CheckpointIdentity({"seed": 1}, "b"), tmp_path / "scratch", alone, 1, warnings.append
    )
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    for step in (1, 2):
        saver.start(model, optimiser, TrainingProgress(step, step, step, TrainerState(1.0, 1.0, 1.0, 1)))
        saver.wait()
    assert store.complete_steps() == [2, 1]
    (warning,) = warnings
    assert "checkpoints before step_2 could not be deleted" in warning
    assert "AccessDenied: step_1/complete.json" in warning


def save(store: CheckpointStore, alone: Agreement, scratch: Path, keep: int, *steps: int) -> torch.nn.Linear:
    """Save a checkpoint at each step. Return the model."""
    saver = CheckpointSaver(store, CheckpointIdentity({"seed": 1}, "b"), scratch, alone, keep, print)
    model = torch.nn.Linear(2, 2)
    for step in steps:
        saver.start(
            model,
            torch.optim.AdamW(model.parameters()),
            TrainingProgress(step, step, step, TrainerState(1.0, 1.0, 1.0, 1)),
        )
        saver.wait()
    return model


@pytest.mark.parametrize("refused", ["complete.json", "trainer.json"])
def test_a_checkpoint_to_which_access_is_refused_is_not_passed_over(
    tmp_path: Path, alone: Agreement, refused: str
) -> None:
    """The run would start again from an older step although the newest checkpoint is whole."""
    folder = RefusingFolder(str(tmp_path / "checkpoints"))
    store = CheckpointStore(folder)
    model = save(store, alone, tmp_path / "scratch", 2, 1, 2)
    warnings: list[str] = []
    restorer = Restorer(
        store, CheckpointIdentity({"seed": 1}, "b"), tmp_path / "load", alone, 1, warnings.append
    )
    folder.refused = f"step_2/{refused}"
    with pytest.raises(NexusError, match="access denied"):
        restorer.restore(model, torch.optim.AdamW(model.parameters()))
    assert warnings == []
    folder.refused = ""
    progress = restorer.restore(model, torch.optim.AdamW(model.parameters()))
    assert progress is not None and progress.step == 2


def test_an_old_checkpoint_takes_what_a_killed_upload_left_along(tmp_path: Path, alone: Agreement) -> None:
    folder = tmp_path / "checkpoints"
    store = CheckpointStore(Folder(str(folder)))
    save(store, alone, tmp_path / "scratch", 1, 1)
    (folder / "step_1" / ".writing-abc").write_bytes(b"half")
    save(store, alone, tmp_path / "scratch", 1, 2)
    assert [path.name for path in folder.iterdir()] == ["step_2"]


def test_a_checkpoint_gets_its_marker_only_after_the_check_before_it(
    tmp_path: Path, alone: Agreement
) -> None:
    """The check is the verification of the token shards: without it, nobody may resume from the files."""
    store = CheckpointStore(Folder(str(tmp_path / "checkpoints")))
    steps_at_the_check: list[list[int]] = []

    def check() -> None:
        steps_at_the_check.append(store.complete_steps())
        if len(steps_at_the_check) == 2:
            raise IntegrityError("the token shard is damaged")

    saver = CheckpointSaver(
        store, CheckpointIdentity({}, "c"), tmp_path / "scratch", alone, 2, print, before_marker=check
    )
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    for step in (1, 2):
        saver.start(model, optimiser, TrainingProgress(step, step, step, TrainerState(1.0, 1.0, 1.0, 1)))
        if step == 1:
            saver.wait()
    with pytest.raises(IntegrityError, match="the token shard is damaged"):
        saver.wait()
    assert steps_at_the_check == [[], [1]]
    assert store.complete_steps() == [1]
