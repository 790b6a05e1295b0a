"""The code of the Spark jobs in S3: a folder for each package, and a pointer to the newest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from include.contracts.artifacts import ArtifactsManifest
from include.contracts.errors import InputError
from include.contracts.records import content_hash, parse_json
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore

_POINTER = "artifacts.json"


def newest_code(artifacts: S3Uri) -> ArtifactsManifest:
    """Return the code that the next run takes. Raises InputError when none was ever uploaded."""
    found = uploaded_code(ObjectStore(), artifacts)
    if found is None:
        remedy = "`make upload-package` brings it there (docs/guides/corpus.md, On AWS)"
        where = str(artifacts / _POINTER)
        raise InputError("the code of the jobs was never uploaded", where=where, remedy=remedy)
    return found


def uploaded_code(store: ObjectStore, artifacts: S3Uri) -> ArtifactsManifest | None:
    """Return the code that was uploaded last, if any was."""
    pointer = artifacts / _POINTER
    return store.read_record(ArtifactsManifest, pointer) if store.exists(pointer) else None


def upload_code(store: ObjectStore, package: Path, artifacts: S3Uri) -> tuple[S3Uri, ArtifactsManifest]:
    """Upload the jobs of a package to a separate folder below ``artifacts``, then update the pointer.

    Return the folder and the package's manifest. A run that has its plan continues with the code of its plan.
    Raises InputError if the package is incomplete or the bucket cannot be written.
    """
    manifest = _manifest(package)
    code = artifacts / manifest.code_folder
    for path in _code(package, manifest):
        store.write(code / path.relative_to(package).as_posix(), path.read_bytes())
    # the pointer is last, so that all files that it refers to exist
    store.write(artifacts / _POINTER, (package / _POINTER).read_bytes())
    return code, manifest


def _manifest(package: Path) -> ArtifactsManifest:
    path = package / _POINTER
    if not path.exists():
        raise InputError("no package", where=str(path), remedy="run `make package` first")
    return parse_json(ArtifactsManifest, path.read_bytes(), where=str(path))


def _code(package: Path, manifest: ArtifactsManifest) -> Iterator[Path]:
    """Yield the files of the Spark jobs, after a check against the manifest."""
    for entry in manifest.code:
        path = package / entry.path
        found = content_hash(path.read_bytes()) if path.exists() else "no file"
        if found != entry.sha256:
            remedy = "run `make package` again"
            raise InputError(
                "not as it was packaged", where=str(path), expected=entry.sha256, got=found, remedy=remedy
            )
        yield path
