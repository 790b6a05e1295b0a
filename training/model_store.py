"""Fetches and verifies model folders by their manifest, and publishes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import canonical_json, content_hash
from include.object_store import STORE, Folder
from include.object_store.locations import split
from include.object_store.verification import file_entry

MANIFEST = "manifest.json"


def fetch_model(manifest_uri: str, target: Path, *, sha256: str = "") -> tuple[ModelManifest, ParentRef]:
    """Download and verify every file that the manifest lists to ``target``.

    Raises IntegrityError if a file differs from the manifest, or the manifest from ``sha256`` if it is given.
    """
    manifest, reference = STORE.referenced_record(ModelManifest, manifest_uri, sha256)
    folder = Folder(split(manifest_uri)[0])
    for entry in manifest.files:
        folder.fetch(entry, target / entry.path)
    return manifest, reference


def publish_model(source: Path, target_uri: str, manifest: ModelManifest) -> ParentRef:
    """Upload every file of ``source``, then the manifest that lists them. Return the manifest's URI."""
    folder = Folder(target_uri)
    folder.delete(MANIFEST)  # an old manifest does not describe the new files
    entries = []
    for path in sorted(p for p in source.rglob("*") if p.is_file() and p.name != MANIFEST):
        name = path.relative_to(source).as_posix()
        folder.upload(name, path)
        entries.append(file_entry(path, name))
    content = canonical_json(replace(manifest, files=tuple(entries)))
    folder.write(MANIFEST, content)
    return ParentRef(folder.uri(MANIFEST), content_hash(content))
