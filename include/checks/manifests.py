"""Checks that the files of a manifest or model folder exist. Only the manifest is trusted."""

from __future__ import annotations

import json
from typing import Any

from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import CorpusManifest, FileEntry, ModelManifest, ParentRef, TrainingReport
from include.contracts.records import to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore

_INDEX = "model.safetensors.index.json"


def verified_model(
    folder: S3Uri, report: S3Uri | None = None, parent: ParentRef | None = None
) -> dict[str, Any] | None:
    """Return URI and hash of a model folder's manifest, and the training report, or None if one is missing.

    :param parent: the manifest that the model must have been made from
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
    """Return the files of a manifest that are absent or of another size."""
    present = {entry.uri: entry.size_bytes for entry in store.list(folder)}
    return [entry.path for entry in files if present.get(str(folder / entry.path)) != entry.size_bytes]


def verify_corpus(uri: S3Uri, sha256: str = "") -> tuple[CorpusManifest, ParentRef]:
    """Return the manifest of a corpus. Raises IntegrityError unless every listed file is there."""
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


def require_base_model(folder: S3Uri) -> None:
    """Raise InputError unless the folder holds every file of a base model, in the form of transformers.

    The weights are one file, or the shards that an index names.
    """
    store, root = ObjectStore(), folder.folder
    names = {entry.uri.removeprefix(str(root)) for entry in store.list(root)}
    needed = ["config.json", "tokenizer.json", "model.safetensors"]
    if _INDEX in names and "model.safetensors" not in names:
        needed[2:] = _shards(store.read(root / _INDEX), f"{root}{_INDEX}")
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            "no base model",
            where=f"base_model_uri {folder}",
            expected=f"config.json, tokenizer.json, and model.safetensors or {_INDEX} with its shards",
            got=f"{', '.join(sorted(names)[:5]) or 'nothing'}; missing: {', '.join(missing[:3])}",
            remedy="upload these files, correct base_model_uri, or leave it empty to train from scratch",
        )


def _shards(index: bytes, where: str) -> list[str]:
    """Return the files that an index of safetensors shards names."""
    try:
        names = sorted(set(json.loads(index)["weight_map"].values()))
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a name that is not a text")
        return names
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "is not an index of safetensors shards",
            where=where,
            remedy="upload the index of this model again",
        ) from error
