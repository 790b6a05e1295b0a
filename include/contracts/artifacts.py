"""What `make package` built: names, hashes, and the code that decides a corpus version."""

from __future__ import annotations

from dataclasses import dataclass

from include.contracts.manifests import SCHEMA_VERSION, FileEntry


@dataclass(frozen=True)
class ArtifactsManifest:
    """``artifacts.json`` beside the artifacts; file paths are relative to it.

    ``sources_sha256`` covers spark_jobs and include/contracts: the code that decides a corpus, and
    nothing else, so that a commit to a README recomputes nothing. ``git_sha`` is for the reader.
    """

    git_sha: str
    sources_sha256: str
    sources: dict[str, str]
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION
