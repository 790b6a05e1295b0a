"""Bring the model here and believe nothing that its manifest does not promise.

The hash of ``manifest.json`` comes from the deployment; the manifest gives size and SHA-256 of every
file. A torn upload, an altered file or another model under the same address is an IntegrityError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from include.contracts.errors import ContractError, InputError, IntegrityError
from include.contracts.manifests import FileEntry, ModelManifest
from include.contracts.records import content_hash, parse_json
from include.contracts.storage import S3Uri

_CHUNK_BYTES = 4 * 2**20
_PARALLEL_DOWNLOADS = 4
MANIFEST = "manifest.json"
#: Without these openvino-genai cannot load the folder.
REQUIRED = (
    "openvino_model.xml",
    "openvino_model.bin",
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)


class Source(Protocol):
    """A folder of files, somewhere."""

    uri: str

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file; InputError when it is not there."""


class LocalSource:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"{folder}/"

    def chunks(self, name: str) -> Iterator[bytes]:
        """Bytes of ``name``."""
        try:
            with (self.folder / name).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise _unreadable(self.uri + name, error.strerror or str(error)) from error


class S3Source:
    """A prefix in S3; endpoint, region and credentials come from the environment, as boto3 reads them."""

    def __init__(self, prefix: S3Uri) -> None:
        import boto3
        from botocore.config import Config

        self._prefix = prefix
        self._client: Any = boto3.client(
            "s3", config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10)
        )
        self.uri = f"{str(prefix).rstrip('/')}/"

    def chunks(self, name: str) -> Iterator[bytes]:
        """Bytes of ``name``."""
        from botocore.exceptions import BotoCoreError, ClientError

        place = self._prefix / name
        try:
            body = self._client.get_object(Bucket=place.bucket, Key=place.key)["Body"]
            yield from body.iter_chunks(_CHUNK_BYTES)
        except (ClientError, BotoCoreError) as error:
            raise _unreadable(str(place), str(error)) from error


def fetch_model(uri: str, manifest_sha256: str, directory: Path) -> tuple[ModelManifest, Path]:
    """Download (or, for a local folder, check in place) and return the manifest and the folder to load.

    Raises IntegrityError when bytes differ from the promise, InputError when they cannot be had,
    ContractError when the manifest is none of a serving model.
    """
    source: Source
    if uri.startswith("s3://"):
        source = S3Source(S3Uri.parse(uri))
    else:
        source = LocalSource(Path(uri.removeprefix("file://")).absolute())
    manifest = _trusted_manifest(source, manifest_sha256)
    target = source.folder if isinstance(source, LocalSource) else directory
    target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        list(pool.map(lambda entry: _fetch(source, entry, target), manifest.files))
    return manifest, target


def _trusted_manifest(source: Source, manifest_sha256: str) -> ModelManifest:
    where = source.uri + MANIFEST
    content = b"".join(source.chunks(MANIFEST))
    if (got := content_hash(content)) != manifest_sha256:
        raise IntegrityError(
            "the manifest is not the one that was deployed",
            where=where,
            expected=f"SHA-256 {manifest_sha256}",
            got=got,
            remedy="deploy again from the model package; never write over a model's folder",
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
        raise ContractError("a needed file is not listed", where=where, expected=", ".join(missing))
    return manifest


def _fetch(source: Source, entry: FileEntry, target: Path) -> None:
    """Stream one file through its hash; a local source is only read."""
    digest, size = hashlib.sha256(), 0
    if isinstance(source, LocalSource):
        for chunk in source.chunks(entry.path):
            digest.update(chunk)
            size += len(chunk)
    else:
        place = target / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            for chunk in source.chunks(entry.path):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
    for what, expected, got in (
        ("bytes", entry.size_bytes, size),
        ("as SHA-256", entry.sha256, digest.hexdigest()),
    ):
        if expected != got:
            raise IntegrityError(
                "a file of the model is torn or altered",
                where=source.uri + entry.path,
                expected=f"{expected} {what}",
                got=str(got),
                remedy="export the model again and deploy its new manifest",
            )


def _unreadable(where: str, reason: str) -> InputError:
    return InputError(
        "cannot be read",
        where=where,
        got=reason,
        remedy="check MODEL_URI, the task role and that the export finished",
    )
