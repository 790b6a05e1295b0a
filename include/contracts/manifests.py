"""The manifests that connect the DAGs. Each is written last, and readers trust nothing else.

``sha256`` of a manifest is the hash of its stored bytes. A child names its parent by URI and hash, so that
a served answer can be traced back to the raw shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from include.contracts.errors import ContractError

SCHEMA_VERSION = 1
#: The variable of a training job with the hash of its TrainingRequest, which the job compares.
TRAINING_REQUEST_SHA256 = "NEXUS_TRAINING_REQUEST_SHA256"
#: Names that are one folder of a key and one path segment of this machine.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class FileEntry:
    """One file of a dataset or model; ``path`` is relative to the manifest's folder."""

    path: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if not self.path or path.is_absolute() or ".." in path.parts:
            raise ContractError("a file outside of its manifest's folder", where=repr(self.path))
        if not self.path.isprintable():  # listings print one file name per line
            raise ContractError("a file name with control characters", where=repr(self.path))


@dataclass(frozen=True)
class ParentRef:
    """The manifest from which another one was made."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class Announcement:
    """The manifest that was announced to downstream DAGs, by ``run`` (which may have died just before)."""

    uri: str
    sha256: str
    run: str = ""


@dataclass(frozen=True)
class RawShard:
    """An input of a corpus version; ``etag`` pins its bytes without reading them.

    ``name`` begins the ids of the shard's documents. It is empty where the URI gives the name: for keys of
    S3, and for local shards of requests written before this field existed.
    """

    uri: str
    size_bytes: int
    etag: str
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class CorpusRequest:
    """The inputs of a corpus version, written by the DAG and read by every Spark job.

    ``recipe`` is the plain form of ``include.recipes.corpus.CorpusRecipe``. ``base`` is the manifest of an
    earlier version that this one extends. ``inputs`` are then the shards added since, and ``earlier_inputs``
    those of the base, in one group for each version it was built from, oldest first. ``references`` maps each
    file that the recipe names to its tag (ETag, or SHA-256 of a local file).
    """

    version: str
    inputs: tuple[RawShard, ...]
    recipe: dict[str, Any]
    sources_sha256: str
    root_uri: str
    base: ParentRef | None = None
    earlier_inputs: tuple[tuple[RawShard, ...], ...] = ()
    references: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def all_inputs(self) -> tuple[tuple[RawShard, ...], ...]:
        """Return the shards of the version, in the groups by which they are numbered."""
        return (*self.earlier_inputs, self.inputs)

    @property
    def shards(self) -> tuple[RawShard, ...]:
        """Return the shards of all groups in one list."""
        return tuple(shard for group in self.all_inputs for shard in group)


@dataclass(frozen=True)
class StageReport:
    """The counts of one completed stage: ``documents_in == documents_out + sum(dropped)``."""

    stage: str
    documents_in: int
    documents_out: int
    dropped: dict[str, int]
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.documents_in != self.documents_out + sum(self.dropped.values()):
            raise ContractError(
                "documents do not add up",
                where=f"stage {self.stage}",
                expected=f"{self.documents_in} in",
                got=f"{self.documents_out} out + {sum(self.dropped.values())} dropped",
            )


@dataclass(frozen=True)
class SubsetCounts:
    """The kept documents of one subset, counted separately for training and held-out."""

    documents: int
    documents_held_out: int
    text_bytes: int
    tokens: int
    tokens_held_out: int


@dataclass(frozen=True)
class TokenShard:
    """One Megatron pair ``<name>.bin`` / ``<name>.idx`` and its sidecar ``<name>.documents.parquet``."""

    name: str
    subset: str
    documents: int
    tokens: int


def _require_run(run: str) -> None:
    """Raise ContractError unless ``run`` is a name: it becomes a folder in S3, and parts of other names."""
    if not _NAME.fullmatch(run):
        raise ContractError(
            "not the name of a run",
            where="run",
            expected="1 to 128 letters, digits, '.', '_' and '-', a letter or digit first",
            got=repr(run[:200]),
        )


def require_documents_add_up(
    version: str, documents_in: int, documents_kept: int, dropped: Mapping[str, Mapping[str, int]]
) -> None:
    """Raise ContractError unless documents in are those kept plus all dropped (by stage and reason)."""
    total = sum(count for reasons in dropped.values() for count in reasons.values())
    if documents_in != documents_kept + total:
        raise ContractError(
            "documents do not add up",
            where=f"corpus {version}",
            expected=f"{documents_in} in",
            got=f"{documents_kept} kept + {total} dropped",
        )


@dataclass(frozen=True)
class CorpusManifest:
    """A complete corpus version with its token dataset. Counts and files include those of its base.

    File paths are relative to ``root_uri``. ``scrubbed`` counts pieces of personal data by the field of
    ScrubRecipe that requests their removal; it is empty in manifests of early versions.
    """

    version: str
    root_uri: str
    request: ParentRef
    documents_in: int
    documents_kept: int
    documents_held_out: int
    dropped: dict[str, dict[str, int]]
    tokens: int
    tokens_held_out: int
    subsets: dict[str, SubsetCounts]
    tokenizer_sha256: str
    vocabulary_size: int
    token_dtype: str
    end_of_text_id: int
    shards: tuple[TokenShard, ...]
    held_out_shards: tuple[TokenShard, ...]
    files: tuple[FileEntry, ...]
    scrubbed: dict[str, int] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        require_documents_add_up(self.version, self.documents_in, self.documents_kept, self.dropped)


@dataclass(frozen=True)
class TrainingRequest:
    """The inputs of one training run, written by the DAG and read by the training job.

    ``recipe`` is the plain form of ``include.recipes.training.TrainingRecipe``. ``base_model_uri`` is the
    prefix of the model to start from, or empty to start from scratch.
    """

    run: str
    root_uri: str
    corpus: ParentRef
    recipe: dict[str, Any]
    base_model_uri: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _require_run(self.run)


@dataclass(frozen=True)
class TrainingReport:
    """Outcome of a finished run.

    ``resumed_at_steps`` has one entry per resume. ``skipped_steps`` counts the steps that changed no weight,
    because their loss or gradient was not finite.
    """

    run: str
    steps: int
    resumed_at_steps: tuple[int, ...]
    loss_first: float
    loss_last: float
    tokens_seen: int
    seconds: float
    skipped_steps: int = 0
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class CheckpointMarker:
    """The file ``complete.json`` of a checkpoint, written last. File paths are relative to its folder.

    ``mathematics`` is the part of the recipe that decides the numbers, in plain form; ``recipe_sha256`` is
    its hash. A marker without it comes from the first release, which hashed the whole recipe.
    """

    step: int
    tokens_seen: int
    data_position: int
    world_size: int
    recipe_sha256: str
    corpus_sha256: str
    files: tuple[FileEntry, ...]
    mathematics: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class ModelManifest:
    """The file ``manifest.json`` of a model folder; ``format`` is ``safetensors`` or ``openvino``."""

    format: str
    run: str
    step: int
    parent: ParentRef
    corpus: ParentRef
    parameters: int
    context_length: int
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _require_run(self.run)


@dataclass(frozen=True)
class DeploymentManifest:
    """The model and revision that a rollout put behind the load balancer."""

    service: str
    deployment_id: str
    revision: str
    endpoint: str
    model: ParentRef
    schema_version: int = SCHEMA_VERSION
