"""Stores the checkpoints of a run, with their markers, and deletes old ones.

A checkpoint ``step_<n>/`` holds DCP files (one or more per rank), the random state of each rank,
``trainer.json`` and ``complete.json`` (CheckpointMarker) with the sizes and hashes of the other files. The
marker is written last. A checkpoint without a marker, or with a file that differs from it, is never loaded.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from include.contracts.manifests import CheckpointMarker, FileEntry, ParentRef
from include.contracts.records import canonical_json, content_hash, parse_json
from include.object_store import Folder

MARKER = "complete.json"
#: The file with the progress of the run, in the folder of a checkpoint.
TRAINER = "trainer.json"
_RESUMES = "resumes.json"
_MARKER_NAME = re.compile(r"step_(\d+)/complete\.json")
_STEP_FOLDER = re.compile(r"step_(\d+)/")


@dataclass(frozen=True)
class TrainerState:
    """The state of a run that is not in tensors.

    Losses are those of steps that changed the weights. ``skipped_steps`` counts the other steps, and
    ``skipped_in_a_row`` those since the last change. The bits of a run depend on ``threads`` (per rank) and
    on ``micro_batch_sequences``, which is 0 in checkpoints of the first release.
    """

    loss_first: float
    loss_last: float
    seconds: float
    threads: int
    micro_batch_sequences: int = 0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a run. ``data_position`` is the number of samples taken from the global order."""

    step: int
    tokens_seen: int
    data_position: int
    trainer: TrainerState


class CheckpointStore:
    """The checkpoints of one run in storage."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def complete_steps(self) -> list[int]:
        """Return the steps with a marker, newest first. S3 lists them in key order, which differs."""
        found = (_MARKER_NAME.fullmatch(name) for name in self.folder.sizes("step_"))
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def marker(self, step: int) -> CheckpointMarker:
        """Read the marker of a step."""
        name = f"step_{step}/{MARKER}"
        return parse_json(CheckpointMarker, self.folder.read(name), where=self.folder.uri(name))

    def marker_reference(self, step: int) -> ParentRef:
        """Return the URI and hash of a marker, for the manifest of a model made from this checkpoint."""
        name = f"step_{step}/{MARKER}"
        return ParentRef(self.folder.uri(name), content_hash(self.folder.read(name)))

    def fetch(self, step: int, into: Path) -> None:
        """Download and verify every file. Raises IntegrityError or ObjectAbsent if one is not complete."""
        for entry in self.marker(step).files:
            name = f"step_{step}/{entry.path}"
            self.folder.fetch(FileEntry(name, entry.size_bytes, entry.sha256), into / entry.path)

    def discard_marker(self, step: int) -> None:
        """Delete the marker of a step before its files are replaced, because it describes the old files."""
        self.folder.delete(f"step_{step}/{MARKER}")

    def resumes(self) -> tuple[int, ...]:
        """Return the steps at which this run was resumed, oldest first."""
        if not self.folder.exists(_RESUMES):
            return ()
        return tuple(json.loads(self.folder.read(_RESUMES)))

    def record_resume(self, step: int) -> None:
        """Record a resume immediately, as the process may be interrupted before its next checkpoint."""
        self.folder.write(_RESUMES, canonical_json([*self.resumes(), step]))

    def prune(self, keep: int, newest: int) -> None:
        """Delete older checkpoints, complete or not, than the ``keep`` newest complete ones up to ``newest``.

        ``newest`` is complete, so at least one checkpoint always remains. Later checkpoints do not count,
        because the run could not resume from them. Markers are deleted first.
        """
        kept = set([step for step in self.complete_steps() if step <= newest][:keep]) | {newest}
        matches = (_STEP_FOLDER.match(name) for name in self.folder.sizes("step_"))
        old = sorted({step for match in matches if match and (step := int(match[1])) < newest} - kept)
        for step in old:
            self.discard_marker(step)
        for step in old:
            self.folder.delete_folder(f"step_{step}")
