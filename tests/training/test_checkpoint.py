"""What a checkpoint does when storage does only a part of what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from training.checkpoint import CheckpointSaver
from training.checkpoint_store import CheckpointStore, Progress, TrainerState
from training.identity import Identity
from training.ranks import Agreement, RankPlace, join
from training.storage import LocalFolder


class UndeletableFolder(LocalFolder):
    """Takes writes, and refuses to delete the first checkpoint, as a bucket policy may."""

    def delete(self, name: str) -> None:
        if name.startswith("step_1/") and self.exists(name):
            raise PermissionError(f"AccessDenied: {name}")
        super().delete(name)


@pytest.fixture
def alone() -> Iterator[Agreement]:
    _, saving = join(RankPlace(rank=0, local_rank=0, world_size=1, threads=1))
    yield saving
    dist.destroy_process_group()


def test_old_checkpoints_that_cannot_be_deleted_do_not_end_the_run(tmp_path: Path, alone: Agreement) -> None:
    store = CheckpointStore(UndeletableFolder(tmp_path / "checkpoints"))
    warnings: list[str] = []
    saver = CheckpointSaver(
        store, Identity({"seed": 1}, "b"), tmp_path / "scratch", alone, 1, warnings.append
    )
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    for step in (1, 2):
        saver.start(model, optimiser, Progress(step, step, step, TrainerState(1.0, 1.0, 1.0, 1)))
        saver.wait()
    assert store.complete_steps() == [2, 1]
    (warning,) = warnings
    assert "checkpoints before step_2 could not be deleted" in warning
    assert "AccessDenied: step_1/complete.json" in warning
