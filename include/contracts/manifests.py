"""The manifests on the arrows between the DAGs. Each is written last and is all that is trusted.

``sha256`` of a manifest is the hash of its bytes as stored; a child names its parent by URI and hash,
so that one can walk back from a served answer to the raw shard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from include.contracts.errors import ContractError

SCHEMA_VERSION = 1


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
        if not self.path.isprintable():  # lists of files have a line each
            raise ContractError("a file name with control characters", where=repr(self.path))


@dataclass(frozen=True)
class ParentRef:
    """The manifest that this one was made from."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class Announcement:
    """The manifest that downstream DAGs were told of. ``run`` told them, or died when it was about to."""

    uri: str
    sha256: str
    run: str = ""


@dataclass(frozen=True)
class RawShard:
    """An input of a corpus version; ``etag`` pins the bytes without reading them."""

    uri: str
    size_bytes: int
    etag: str


@dataclass(frozen=True)
class CorpusRequest:
    """What a corpus version is made from; written by the DAG, read by every Spark job.

    ``recipe`` is the plain form of ``include.recipes.corpus.CorpusRecipe``. With a ``base``, the manifest
    of an earlier version, ``inputs`` are the shards that have come since, and the version holds both:
    ``earlier_inputs`` are those of the base, a group for each version that it was built up by, the oldest
    first. ``references`` has the tag (ETag, or SHA-256 of a local file) of each file that the recipe names.
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
        """The shards that the version holds, in the groups by which they are numbered."""
        return (*self.earlier_inputs, self.inputs)

    @property
    def shards(self) -> tuple[RawShard, ...]:
        """All of them in a row."""
        return tuple(shard for group in self.all_inputs for shard in group)


@dataclass(frozen=True)
class StageReport:
    """Counts of one completed stage: ``documents_in == documents_out + sum(dropped)``."""

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
    """Kept documents of one subset; training and held-out apart."""

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


@dataclass(frozen=True)
class CorpusManifest:
    """A corpus version and its token dataset, whole: counts and files hold those of the version's base.

    File paths are relative to ``root_uri``. ``scrubbed`` counts pieces of personal data by the field of
    ScrubRecipe that asks for them; manifests that were written before it was here have none.
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
        dropped = sum(count for reasons in self.dropped.values() for count in reasons.values())
        if self.documents_in != self.documents_kept + dropped:
            raise ContractError(
                "documents do not add up",
                where=f"corpus {self.version}",
                expected=f"{self.documents_in} in",
                got=f"{self.documents_kept} kept + {dropped} dropped",
            )


@dataclass(frozen=True)
class TrainingRequest:
    """What one training run is made from; written by the DAG, read by the training job.

    ``recipe`` is the plain form of ``include.recipes.training.TrainingRecipe``. ``base_model_uri`` is a
    prefix with a model to start from, or empty to start from scratch.
    """

    run: str
    root_uri: str
    corpus: ParentRef
    recipe: dict[str, Any]
    base_model_uri: str = ""
    schema_version: int = SCHEMA_VERSION


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
    """``complete.json`` of a checkpoint, written last. File paths are relative to its folder.

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
    """``manifest.json`` of a model folder; ``format`` is ``safetensors`` or ``openvino``."""

    format: str
    run: str
    step: int
    parent: ParentRef
    corpus: ParentRef
    parameters: int
    context_length: int
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class DeploymentManifest:
    """What a rollout put behind the load balancer."""

    service: str
    deployment_id: str
    revision: str
    endpoint: str
    model: ParentRef
    schema_version: int = SCHEMA_VERSION
