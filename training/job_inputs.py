"""Reads the inputs of a job: SageMaker's ``/opt/ml`` folders, the request and what it refers to.

``NEXUS_ML_ROOT`` names another folder for machines on which ``/opt/ml`` cannot be created.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import CorpusManifest, ParentRef, TrainingRequest
from include.contracts.records import content_hash, from_plain, parse_json
from include.contracts.storage import RunLayout, S3Uri
from include.object_store import STORE, Folder
from include.recipes.training import TrainingRecipe

#: Exit code of a rank and of the launcher after SIGTERM: 128 + 15, as a shell would report it.
EXIT_INTERRUPTED = 143
#: Seconds of silence after which a rank counts as vanished. The launcher needs a few more to end the others,
#: and no rank may wait longer than 120 seconds in all.
PEER_TIMEOUT_SECONDS = 90.0
#: Keys of a run relative to its root, so that they also serve a root that is a local path.
RUN_KEYS = RunLayout(S3Uri("run", ""))


@dataclass(frozen=True)
class MlRoot:
    """SageMaker's folder of a job."""

    path: Path

    @classmethod
    def from_environment(cls) -> MlRoot:
        """Return ``/opt/ml``, or the folder that ``NEXUS_ML_ROOT`` names."""
        return cls(Path(os.environ.get("NEXUS_ML_ROOT", "/opt/ml")))

    def configuration(self, name: str) -> dict[str, Any]:
        """Read ``input/config/<name>.json``, or return {} if SageMaker did not write it."""
        path = self.path / "input" / "config" / f"{name}.json"
        if not path.exists():
            return {}
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise ContractError(f"not valid JSON ({error})", where=str(path)) from error
        if not isinstance(content, dict):
            raise ContractError("not a table", where=str(path))
        return content

    def channel(self, name: str) -> Path:
        """Return the folder of an input channel. Raises InputError if the job was started without it."""
        path = self.path / "input" / "data" / name
        if not path.is_dir():
            raise InputError(
                f"channel '{name}' is missing", where=str(path), remedy=f"add '{name}' to InputDataConfig"
            )
        return path

    @property
    def failure(self) -> Path:
        """The file whose first 1,024 characters SageMaker shows as FailureReason."""
        return self.path / "output" / "failure"

    @property
    def scratch(self) -> Path:
        """The folder for uploads and downloads of checkpoints, on the job's own volume."""
        return self.path / "scratch"


@dataclass(frozen=True)
class TrainingJob:
    """A training request with its recipe, corpus manifest and run folder, all checked."""

    request: TrainingRequest
    recipe: TrainingRecipe
    corpus: CorpusManifest
    run: Folder

    @property
    def checkpoints(self) -> Folder:
        """The run's checkpoints."""
        return Folder(self.run.uri(RUN_KEYS.checkpoints.key))


def read_training_job(request_uri: str, sha256: str = "") -> TrainingJob:
    """Read a request, its recipe and its corpus manifest. Raises NexusError if one is not valid.

    Raises IntegrityError if the request has another hash than ``sha256``, unless that is empty.
    """
    request = STORE.read_record(TrainingRequest, request_uri, sha256)
    recipe = from_plain(TrainingRecipe, request.recipe, where=f"{request_uri}: recipe")
    return TrainingJob(request, recipe, read_corpus(request.corpus), Folder(request.root_uri))


def read_corpus(reference: ParentRef) -> CorpusManifest:
    """Read the manifest at ``reference``. Raises ContractError if its bytes have another hash."""
    content = STORE.read(reference.uri)
    if content_hash(content) != reference.sha256:
        raise ContractError(
            "is not the corpus manifest that the request names",
            where=reference.uri,
            expected=reference.sha256,
            got=content_hash(content),
            remedy="the manifest has changed: start a new run on the present corpus",
        )
    return parse_json(CorpusManifest, content, where=reference.uri)
