"""Saves checkpoints in the background while training continues."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.checkpoint.state_dict_saver import async_save

from include.contracts.errors import NexusError
from include.contracts.manifests import CheckpointMarker, FileEntry
from include.contracts.records import canonical_json
from include.object_store.verification import file_entry
from training.checkpoint_store import MARKER, TRAINER, CheckpointStore, TrainingProgress
from training.finite import named_tensors, require_finite
from training.identity import CheckpointIdentity
from training.random_state import save_random_state
from training.ranks import ERRORS, Agreement, describe

#: A fault of the hardware passes; an update that overflows comes again, because a resumed run repeats it.
_NOT_FINITE = (
    "start the run again: it resumes from the last checkpoint, whose values are finite; if that step fails "
    "again, start a new run with a lower optimiser.learning_rate or optimiser.gradient_clip"
)


class CheckpointFailed(NexusError):
    """Raised if a checkpoint could not be written. Earlier checkpoints are not affected."""


class CheckpointSaver:
    """Saves one checkpoint at a time. The training loop waits only while the state is copied."""

    def __init__(
        self,
        store: CheckpointStore,
        identity: CheckpointIdentity,
        scratch: Path,
        ranks: Agreement,
        keep: int,
        warn: Callable[[str], None],
        *,
        before_marker: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to save. Only the saver may use the group ``ranks``; ``scratch`` is a local folder.

        ``before_marker`` runs on every rank after the files are uploaded. If it raises an error, the marker
        is not written, so the checkpoint is never loaded.
        """
        self._store = store
        self._identity = identity
        self._scratch = scratch
        self._ranks = ranks
        self._keep = keep
        self._warn = warn
        self._before_marker = before_marker
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(
        self, model: torch.nn.Module, optimiser: torch.optim.Optimizer, progress: TrainingProgress
    ) -> float:
        """Copy the state and start to write it in the background. Return how many seconds the copy took.

        Raises IntegrityError on every rank, and writes nothing, if the state of any rank holds NaN or
        infinity.
        """
        begun = time.monotonic()
        self.wait()
        folder = self._scratch / f"save_{progress.step}_rank_{self._ranks.position.rank}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_random_state(folder, self._ranks.position.rank)
        parameters, moments = get_state_dict(model, optimiser)
        state = {"model": parameters, "optimiser": moments}
        where = f"step {progress.step}"
        self._ranks.together(lambda: require_finite(named_tensors(state), where=where, remedy=_NOT_FINITE))
        writing = async_save(state, checkpoint_id=folder, process_group=self._ranks.group)
        self._thread = threading.Thread(
            target=self._finish,
            args=(writing, folder, progress),
            name=f"checkpoint-{progress.step}",
            daemon=True,
        )
        self._thread.start()
        return time.monotonic() - begun

    def check(self) -> None:
        """Raise the error of the last save if it has failed. Do not wait for a running save."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Wait until the last save is complete in storage. Raise its error if it failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            if isinstance(failure, NexusError):
                raise failure
            raise CheckpointFailed(
                describe(failure),
                where=self._store.folder.uri(),
                remedy="check storage and free disk, then start the run again: it resumes",
            ) from failure

    def _finish(self, writing: Any, folder: Path, progress: TrainingProgress) -> None:
        try:
            self._ranks.together(writing.result)
            self._ranks.from_first(lambda: self._store.discard_marker(progress.step))
            parts = self._ranks.together(lambda: self._upload(folder, progress))
            self._ranks.together(self._before_marker)
            self._ranks.from_first(lambda: self._complete(progress, [e for part in parts for e in part]))
        except ERRORS as error:
            self._failure = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _upload(self, folder: Path, progress: TrainingProgress) -> list[FileEntry]:
        if self._ranks.position.rank == 0:
            (folder / TRAINER).write_bytes(canonical_json(progress.trainer))
        entries = []
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            entries.append(file_entry(path, path.name))
            self._store.folder.upload(f"step_{progress.step}/{path.name}", path)
        return entries

    def _complete(self, progress: TrainingProgress, entries: list[FileEntry]) -> None:
        marker = CheckpointMarker(
            step=progress.step,
            tokens_seen=progress.tokens_seen,
            data_position=progress.data_position,
            world_size=self._ranks.position.world_size,
            recipe_sha256=self._identity.recipe_sha256,
            corpus_sha256=self._identity.corpus_sha256,
            mathematics=dict(self._identity.mathematics),
            files=tuple(sorted(entries, key=lambda entry: entry.path)),
        )
        self._store.folder.write(f"step_{progress.step}/{MARKER}", canonical_json(marker))
        self._prune(progress.step)

    def _prune(self, newest: int) -> None:
        try:
            self._store.prune(self._keep, newest)
        except Exception as error:
            # the checkpoint is complete, and saving the next one tries again to delete the old ones
            self._warn(f"checkpoints before step_{newest} could not be deleted: {describe(error)}")
