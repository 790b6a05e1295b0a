"""Downloads the model that a server loads, and verifies it against its manifest.

The deployment sets the hash of ``manifest.json``, and the manifest holds the size and SHA-256 of every file.
An incomplete upload, an altered file or another model at the same URI is an IntegrityError.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from include.contracts.errors import ContractError, IntegrityError
from include.contracts.manifests import ModelManifest
from include.contracts.records import content_hash, parse_json
from include.object_store import Folder
from include.object_store.locations import absolute, is_s3

_PARALLEL_DOWNLOADS = 4
MANIFEST = "manifest.json"
#: Without these openvino-genai cannot load the folder.
REQUIRED = (
    "openvino_model.xml",
    "openvino_model.bin",
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)


def fetch_model(uri: str, manifest_sha256: str, directory: Path) -> tuple[ModelManifest, Path]:
    """Download a model and verify it. A local folder is verified without a copy.

    Return the manifest and the folder to load. Raises IntegrityError for bytes that differ from the
    manifest, InputError for files that cannot be read, and ContractError for a manifest that does not
    describe a serving model.
    """
    folder = Folder(absolute(uri))
    manifest = _trusted_manifest(folder, manifest_sha256)
    is_remote = is_s3(folder.root)
    target = directory if is_remote else Path(folder.root)
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        if is_remote:
            list(pool.map(lambda entry: folder.fetch(entry, target / entry.path), manifest.files))
        else:
            list(pool.map(folder.verify, manifest.files))
    return manifest, target


def _trusted_manifest(folder: Folder, manifest_sha256: str) -> ModelManifest:
    where = folder.uri(MANIFEST)
    content = folder.read(MANIFEST)
    if (got := content_hash(content)) != manifest_sha256:
        raise IntegrityError(
            "the manifest is not the one that was deployed",
            where=where,
            expected=f"SHA-256 {manifest_sha256}",
            got=got,
            remedy="deploy the model package again, and never overwrite a model's folder",
        )
    manifest = parse_json(ModelManifest, content, where=where)
    if manifest.format != "openvino":
        raise ContractError(
            "not a serving model",
            where=where,
            expected="format 'openvino'",
            got=repr(manifest.format),
            remedy="export the candidate first (training.export.openvino)",
        )
    names = [entry.path for entry in manifest.files]
    if missing := [name for name in REQUIRED if name not in names]:
        raise ContractError(
            "the manifest does not list a required file", where=where, expected=", ".join(missing)
        )
    return manifest
