"""Restores the newest usable checkpoint of a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from include.contracts.errors import ContractError, IntegrityError
from include.contracts.manifests import CheckpointMarker
from include.contracts.records import parse_json
from include.object_store import ObjectAbsent
from training.checkpoint_store import MARKER, TRAINER, CheckpointStore, TrainerState, TrainingProgress
from training.identity import CheckpointIdentity
from training.random_state import check_random_states, load_random_state
from training.ranks import Agreement
from training.state_loading import UnreadableCheckpoint, load_as_data, not_finite


@dataclass(frozen=True)
class Restorer:
    """Finds and loads the newest usable checkpoint. Every rank must call ``restore``.

    ``scratch`` is a local folder. ``micro_batch_sequences`` is that of the resuming run.
    """

    store: CheckpointStore
    identity: CheckpointIdentity
    scratch: Path
    ranks: Agreement
    micro_batch_sequences: int
    warn: Callable[[str], None]

    def restore(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> TrainingProgress | None:
        """Load the newest usable checkpoint into model and optimiser. Return None if there is none.

        A checkpoint that is incomplete, damaged or not finite is skipped with a warning that names the
        reason. It does not change the model. If access is refused or storage is unavailable, an error is
        raised, because the checkpoint may be usable. Raises CheckpointMismatch if the newest readable
        checkpoint belongs to another recipe or corpus, and IntegrityError if it contains code, which means
        that it was tampered with.
        """
        for step in self.ranks.from_first(self.store.complete_steps):
            folder = self.scratch / f"load_{step}"
            found = self._fetch_agreed(step, folder)
            if isinstance(found, CheckpointMarker):
                marker = found
                loaded = self.ranks.together(lambda: self._load(folder, marker, model, optimiser))  # noqa: B023
                # deleted after all ranks have loaded, because the ranks of a host read the same files
                shutil.rmtree(folder, ignore_errors=True)
                return loaded[self.ranks.position.rank]
            shutil.rmtree(folder, ignore_errors=True)  # a partial download may fill most of the disk
            if self.ranks.position.rank == 0:
                self.warn(f"checkpoint step_{step} cannot be used and is skipped: {found}")
        return None

    def _fetch_agreed(self, step: int, folder: Path) -> CheckpointMarker | str:
        """Return the marker if the files of every host are verified and finite, or the reason why not."""
        marker = self.ranks.from_first(lambda: self._readable_marker(step))
        if isinstance(marker, str):
            return marker
        for check in (self._fetch, self._check_content):
            faults = self.ranks.together(lambda: check(step, folder))  # noqa: B023
            if any(faults):
                return "; ".join(filter(None, faults))
        return marker

    def _readable_marker(self, step: int) -> CheckpointMarker | str:
        """Return the marker, or the reason why it cannot be read."""
        try:
            marker = self.store.marker(step)
        except (ContractError, ObjectAbsent) as error:
            return str(error)
        if marker.step != step:
            return f"its {MARKER} is that of step {marker.step}: it was copied from another checkpoint"
        self.identity.require(marker, self.store.folder.uri(f"step_{step}/"))
        return marker

    def _fetch(self, step: int, folder: Path) -> str:
        """Download the files once per host. Return the reason why the checkpoint is not complete, or ""."""
        if self.ranks.position.local_rank:
            return ""
        shutil.rmtree(folder, ignore_errors=True)
        try:
            self.store.fetch(step, folder)
        except (IntegrityError, ObjectAbsent) as error:
            return str(error)
        return ""

    def _check_content(self, step: int, folder: Path) -> str:
        """Read the downloaded files once per host. Return the reason why they cannot be used, or ""."""
        if self.ranks.position.local_rank:
            return ""
        where = self.store.folder.uri(f"step_{step}/")
        try:
            name = not_finite(folder)
            _read_trainer(folder)
            check_random_states(folder)
        except (UnreadableCheckpoint, ContractError) as error:
            return f"{where}: {error}"
        return f"{where}: {name} holds NaN or infinity" if name else ""

    def _load(
        self, folder: Path, marker: CheckpointMarker, model: torch.nn.Module, optimiser: torch.optim.Optimizer
    ) -> TrainingProgress:
        parameters, moments = get_state_dict(model, optimiser)
        load_as_data({"model": parameters, "optimiser": moments}, folder, self.ranks)
        set_state_dict(model, optimiser, model_state_dict=parameters, optim_state_dict=moments)
        load_random_state(folder, self.ranks.position.rank)
        trainer = _read_trainer(folder)
        if self.ranks.position.rank == 0 and (changed := self._changes(marker, trainer)):
            self.warn(
                f"checkpoint step_{marker.step} was made with {changed}: "
                "from here on the losses are equal only up to rounding"
            )
        return TrainingProgress(marker.step, marker.tokens_seen, marker.data_position, trainer)

    def _changes(self, marker: CheckpointMarker, trainer: TrainerState) -> str:
        """Describe the settings of the saving run that differ and change the order of floating-point sums."""
        position, micro = self.ranks.position, trainer.micro_batch_sequences
        changed = []
        if marker.world_size != position.world_size:
            changed.append(f"{marker.world_size} ranks")
        if trainer.threads != position.threads:
            changed.append(f"{trainer.threads} threads per rank")
        if micro not in (0, self.micro_batch_sequences):
            changed.append(f"micro batches of {micro} sequences")
        return " and ".join(changed)


def _read_trainer(folder: Path) -> TrainerState:
    """Read the trainer's state. Raises ContractError if the file is absent or malformed."""
    path = folder / TRAINER
    if not path.is_file():
        raise ContractError("is missing", where=TRAINER)
    return parse_json(TrainerState, path.read_bytes(), where=TRAINER)
