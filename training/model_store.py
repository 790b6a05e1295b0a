"""Model folders: fetched by their manifest and verified, published with the manifest last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from include.contracts.errors import IntegrityError
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import canonical_json, content_hash, parse_json
from training.storage import fetch_verified, file_entry, open_folder, split_uri

MANIFEST = "manifest.json"


def fetch_model(manifest_uri: str, target: Path, *, sha256: str = "") -> tuple[ModelManifest, ParentRef]:
    """Download every file that the manifest lists to ``target``.

    IntegrityError when a file, or the manifest itself where its ``sha256`` is given, is not as promised.
    """
    folder, name = split_uri(manifest_uri)
    content = folder.read(name)
    found = content_hash(content)
    if sha256 and found != sha256:
        raise IntegrityError("the manifest changed", where=manifest_uri, expected=sha256, got=found)
    manifest = parse_json(ModelManifest, content, where=manifest_uri)
    for entry in manifest.files:
        fetch_verified(folder, entry, target / entry.path)
    return manifest, ParentRef(manifest_uri, found)


def publish_model(source: Path, target_uri: str, manifest: ModelManifest) -> ParentRef:
    """Upload every file of ``source``, then the manifest that lists them; returns where it lies."""
    folder = open_folder(target_uri)
    folder.delete(MANIFEST)  # an old one must not vouch for new files
    entries = []
    for path in sorted(p for p in source.rglob("*") if p.is_file() and p.name != MANIFEST):
        name = path.relative_to(source).as_posix()
        folder.upload(name, path)
        entries.append(file_entry(path, name))
    content = canonical_json(replace(manifest, files=tuple(entries)))
    folder.write(MANIFEST, content)
    return ParentRef(folder.uri(MANIFEST), content_hash(content))
