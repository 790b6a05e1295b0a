"""Whether what a manifest lists is really there. The manifest is all that is trusted."""

from __future__ import annotations

from typing import Any

from include.contracts.errors import IntegrityError
from include.contracts.manifests import CorpusManifest, FileEntry, ModelManifest, ParentRef, TrainingReport
from include.contracts.records import to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore


def verified_model(
    folder: S3Uri, report: S3Uri | None = None, parent: ParentRef | None = None
) -> dict[str, Any] | None:
    """URI and hash of the manifest of a model folder (and the training report); None unless all is whole.

    With ``parent`` only a model that was made from exactly that one counts.
    """
    store = ObjectStore()
    uri = folder / "manifest.json"
    if not store.exists(uri) or (report and not store.exists(report)):
        return None
    manifest, reference = store.referenced_record(ModelManifest, uri)
    if missing_files(store, folder, manifest.files) or (parent and manifest.parent != parent):
        return None
    output: dict[str, Any] = {"manifest_uri": reference.uri, "manifest_sha256": reference.sha256}
    if report:
        output["report"] = to_plain(store.read_record(TrainingReport, report))
    return output


def missing_files(store: ObjectStore, folder: S3Uri, files: tuple[FileEntry, ...]) -> list[str]:
    """Files of a manifest that are absent or of another size."""
    present = {entry.uri: entry.size_bytes for entry in store.list(folder)}
    return [entry.path for entry in files if present.get(str(folder / entry.path)) != entry.size_bytes]


def verify_corpus(uri: S3Uri, sha256: str = "") -> tuple[CorpusManifest, ParentRef]:
    """The manifest of a corpus; IntegrityError unless every listed file is there in its size."""
    store = ObjectStore()
    manifest, reference = store.referenced_record(CorpusManifest, uri, sha256)
    missing = missing_files(store, S3Uri.parse(manifest.root_uri), manifest.files)
    if missing:
        raise IntegrityError(
            "files of the corpus are missing or have another size",
            where=str(uri),
            expected=f"{len(manifest.files)} files",
            got=f"{len(missing)} missing: {', '.join(missing[:5])}",
            remedy="run corpus_refresh with force",
        )
    return manifest, reference
