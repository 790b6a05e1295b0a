"""Checkpoints: saved beside the step loop, complete when their marker is there, read only when verified.

A checkpoint ``step_<n>/`` holds DCP files (one or more a rank), the random state of each rank,
``trainer.json`` and, last of all, ``complete.json`` (CheckpointMarker) with the sizes and hashes of
all the others. Nothing but a marker whose every file has the promised bytes is ever loaded.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_saver import async_save

from include.contracts.errors import ContractError, InputError, IntegrityError, NexusError
from include.contracts.manifests import CheckpointMarker, FileEntry, ParentRef
from include.contracts.records import canonical_json, content_hash, parse_json
from training.ranks import ERRORS, Agreement, describe
from training.state_loading import load_as_data
from training.storage import Folder, fetch_verified, file_entry

MARKER = "complete.json"
_TRAINER = "trainer.json"
_RESUMES = "resumes.json"
_MARKER_NAME = re.compile(r"step_(\d+)/complete\.json")
_STEP_FOLDER = re.compile(r"step_(\d+)/")


class CheckpointMismatch(NexusError):
    """The checkpoints of this run were made with another recipe or corpus."""


class CheckpointFailed(NexusError):
    """A checkpoint could not be written; earlier ones are untouched."""


@dataclass(frozen=True)
class Identity:
    """What a checkpoint must share with the run that resumes from it."""

    recipe_sha256: str
    corpus_sha256: str


@dataclass(frozen=True)
class TrainerState:
    """What the trainer knows beside tensors; ``threads`` is a rank's, on which the bits depend."""

    loss_first: float
    loss_last: float
    seconds: float
    threads: int


@dataclass(frozen=True)
class Progress:
    """How far the run is; ``data_position`` counts samples of the global order."""

    step: int
    tokens_seen: int
    data_position: int
    trainer: TrainerState


class CheckpointStore:
    """The checkpoints of one run in storage."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def complete_steps(self) -> list[int]:
        """Steps that have a marker, newest first. S3 lists in key order, which is not step order."""
        found = (_MARKER_NAME.fullmatch(name) for name in self.folder.sizes("step_"))
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def marker(self, step: int) -> CheckpointMarker:
        """The marker of a step, parsed."""
        name = f"step_{step}/{MARKER}"
        return parse_json(CheckpointMarker, self.folder.read(name), where=self.folder.uri(name))

    def marker_reference(self, step: int) -> ParentRef:
        """Address and hash of a marker, for the manifest of what is made from it."""
        name = f"step_{step}/{MARKER}"
        return ParentRef(self.folder.uri(name), content_hash(self.folder.read(name)))

    def fetch(self, step: int, into: Path) -> None:
        """Download and verify every file; IntegrityError or InputError if any is not whole."""
        for entry in self.marker(step).files:
            name = f"step_{step}/{entry.path}"
            fetch_verified(self.folder, FileEntry(name, entry.size_bytes, entry.sha256), into / entry.path)

    def discard_marker(self, step: int) -> None:
        """Before a step is written again: its old marker must not vouch for new files."""
        self.folder.delete(f"step_{step}/{MARKER}")

    def resumes(self) -> tuple[int, ...]:
        """Steps at which this run was resumed, oldest first."""
        if not self.folder.exists(_RESUMES):
            return ()
        return tuple(json.loads(self.folder.read(_RESUMES)))

    def record_resume(self, step: int) -> None:
        """Note a resume at once: the process may be interrupted again before its next checkpoint."""
        self.folder.write(_RESUMES, canonical_json([*self.resumes(), step]))

    def prune(self, keep: int, newest: int) -> None:
        """Delete all but the ``keep`` newest complete checkpoints, and leftovers older than ``newest``.

        ``newest`` is complete, so at least one checkpoint always remains. Markers go first.
        """
        kept = set(self.complete_steps()[:keep]) | {newest}
        names = list(self.folder.sizes("step_"))
        for name in sorted(names, key=lambda name: not name.endswith(f"/{MARKER}")):
            match = _STEP_FOLDER.match(name)
            if match and int(match[1]) < newest and int(match[1]) not in kept:
                self.folder.delete(name)


class CheckpointSaver:
    """Saves in the background, one checkpoint at a time; the step loop waits only for a copy of the state."""

    def __init__(
        self,
        store: CheckpointStore,
        identity: Identity,
        scratch: Path,
        ranks: Agreement,
        keep: int,
        warn: Callable[[str], None],
    ) -> None:
        """``ranks`` must be a group of the saver's own; ``scratch`` is a folder of this host."""
        self._store = store
        self._identity = identity
        self._scratch = scratch
        self._ranks = ranks
        self._keep = keep
        self._warn = warn
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> float:
        """Copy the state and begin to write it; returns the seconds that the caller was held up."""
        begun = time.monotonic()
        self.wait()
        folder = self._scratch / f"save_{progress.step}_rank_{self._ranks.place.rank}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.save(_random_state(), folder / f"random_rank_{self._ranks.place.rank}.pt")
        parameters, moments = get_state_dict(model, optimiser)
        writing = async_save(
            {"model": parameters, "optimiser": moments}, checkpoint_id=folder, process_group=self._ranks.group
        )
        self._thread = threading.Thread(
            target=self._finish,
            args=(writing, folder, progress),
            name=f"checkpoint-{progress.step}",
            daemon=True,
        )
        self._thread.start()
        return time.monotonic() - begun

    def check(self) -> None:
        """Raise what a finished save met; returns at once while one is under way."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Until the last save is complete in storage; CheckpointFailed if it could not be made so."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise CheckpointFailed(
                describe(failure),
                where=self._store.folder.uri(),
                remedy="check storage and free disk, then start the run again: it resumes",
            ) from failure

    def _finish(self, writing: Any, folder: Path, progress: Progress) -> None:
        try:
            self._ranks.together(writing.result)
            self._ranks.from_first(lambda: self._store.discard_marker(progress.step))
            parts = self._ranks.together(lambda: self._upload(folder, progress))
            self._ranks.from_first(lambda: self._complete(progress, [e for part in parts for e in part]))
        except ERRORS as error:
            self._failure = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _upload(self, folder: Path, progress: Progress) -> list[FileEntry]:
        if self._ranks.place.rank == 0:
            (folder / _TRAINER).write_bytes(canonical_json(progress.trainer))
        entries = []
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            entries.append(file_entry(path, path.name))
            self._store.folder.upload(f"step_{progress.step}/{path.name}", path)
        return entries

    def _complete(self, progress: Progress, entries: list[FileEntry]) -> None:
        marker = CheckpointMarker(
            step=progress.step,
            tokens_seen=progress.tokens_seen,
            data_position=progress.data_position,
            world_size=self._ranks.place.world_size,
            recipe_sha256=self._identity.recipe_sha256,
            corpus_sha256=self._identity.corpus_sha256,
            files=tuple(sorted(entries, key=lambda entry: entry.path)),
        )
        self._store.folder.write(f"step_{progress.step}/{MARKER}", canonical_json(marker))
        self._prune(progress.step)

    def _prune(self, newest: int) -> None:
        try:
            self._store.prune(self._keep, newest)
        except Exception as error:
            # the checkpoint is complete all the same, and the next one prunes what is left here
            self._warn(f"checkpoints before step_{newest} could not be deleted: {describe(error)}")


def restore(
    store: CheckpointStore,
    identity: Identity,
    scratch: Path,
    ranks: Agreement,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    warn: Callable[[str], None],
) -> Progress | None:
    """Load the newest complete and verified checkpoint; None where there is none.

    A checkpoint that is torn, short of a file or has wrong bytes is passed over with a warning.
    CheckpointMismatch when the newest readable one belongs to another recipe or corpus, IntegrityError when
    it holds more than data: somebody made it so, and going on would hide it.
    """
    for step in ranks.from_first(store.complete_steps):
        folder = scratch / f"load_{step}"
        found = _fetch_agreed(store, step, folder, identity, ranks)
        if isinstance(found, CheckpointMarker):
            load = functools.partial(_load, folder, found, ranks, model, optimiser, warn)
            progress = ranks.together(load)[ranks.place.rank]
            # only now: the ranks of a host read the same files
            shutil.rmtree(folder, ignore_errors=True)
            return progress
        shutil.rmtree(folder, ignore_errors=True)  # what came before the fault may be most of the disk
        if ranks.place.rank == 0:
            warn(f"checkpoint step_{step} is not whole and is passed over: {found}")
    return None


def _fetch_agreed(
    store: CheckpointStore, step: int, folder: Path, identity: Identity, ranks: Agreement
) -> CheckpointMarker | str:
    """The marker once every host has the verified files, or why some host has not."""
    marker = ranks.from_first(lambda: _readable_marker(store, step, identity))
    if isinstance(marker, str):
        return marker
    faults = ranks.together(lambda: _fetch(store, step, folder, ranks))
    return "; ".join(filter(None, faults)) or marker


def _load(
    folder: Path,
    marker: CheckpointMarker,
    ranks: Agreement,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    warn: Callable[[str], None],
) -> Progress:
    parameters, moments = get_state_dict(model, optimiser)
    load_as_data({"model": parameters, "optimiser": moments}, folder, ranks)
    set_state_dict(model, optimiser, model_state_dict=parameters, optim_state_dict=moments)
    random_state = folder / f"random_rank_{ranks.place.rank}.pt"
    if random_state.exists():  # not there for ranks that the saving run did not have
        _set_random_state(torch.load(random_state, weights_only=True))
    trainer = parse_json(TrainerState, (folder / _TRAINER).read_bytes(), where=_TRAINER)
    made_with = (marker.world_size, trainer.threads)
    if made_with != (ranks.place.world_size, ranks.place.threads) and ranks.place.rank == 0:
        warn(
            f"checkpoint step_{marker.step} was made with {made_with[0]} ranks of {made_with[1]} "
            "threads: from here on the losses are equal only up to rounding"
        )
    return Progress(marker.step, marker.tokens_seen, marker.data_position, trainer)


def _readable_marker(store: CheckpointStore, step: int, identity: Identity) -> CheckpointMarker | str:
    """The marker, or why it cannot be read."""
    try:
        marker = store.marker(step)
    except (ContractError, InputError) as error:
        return str(error)
    for field in ("recipe_sha256", "corpus_sha256"):
        expected, got = getattr(identity, field), getattr(marker, field)
        if expected != got:
            what = field.removesuffix("_sha256")
            raise CheckpointMismatch(
                f"was made with another {what}",
                where=store.folder.uri(f"step_{step}/"),
                expected=expected,
                got=got,
                remedy=f"start a new run, or go back to the {what} of this one",
            )
    return marker


def _fetch(store: CheckpointStore, step: int, folder: Path, ranks: Agreement) -> str:
    """Download once a host; why the checkpoint is not whole, or nothing."""
    if ranks.place.local_rank:
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        store.fetch(step, folder)
    except (IntegrityError, InputError) as error:
        return str(error)
    return ""


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
