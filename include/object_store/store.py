"""The object store: the same operations on S3 and on folders of this machine, chosen by the URI.

    store = ObjectStore()
    store.write("s3://bucket/key", b"...")
    store.read("/a/path")

An object is complete or absent, because every write is atomic. *Absent* means that the bucket exists and S3
answers 404 for the object. Denied access, a missing bucket and a broken connection are separate errors
(``include.object_store.errors``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from include.contracts.errors import InputError
from include.contracts.manifests import FileEntry
from include.contracts.storage import S3Uri
from include.object_store import transfers
from include.object_store.backend import Backend, ObjectStat
from include.object_store.buckets import bucket_names, create_missing
from include.object_store.errors import absent_object
from include.object_store.local import LocalFiles
from include.object_store.locations import Location, Uri, locate
from include.object_store.multipart import MultipartUpload
from include.object_store.records import Records
from include.object_store.s3 import S3Objects
from include.object_store.verification import require_size, verify


class ObjectStore(Records):
    """Reads and writes objects by URI.

    Without a client, endpoint, region and credentials of S3 come from the environment; nothing is connected
    before an ``s3://`` URI is used. Every operation raises ObjectAbsent for a missing object, InputError for
    a missing bucket or refused access, and StorageUnavailable when all retries failed.
    """

    def __init__(self, s3: Any = None) -> None:
        self._s3 = S3Objects(s3)
        self._local = LocalFiles()

    def find(self, uri: Uri) -> ObjectStat | None:
        """Return size, tag and metadata of an object; None if it is absent."""
        backend, at = self._at(uri)
        return backend.find(at)

    def stat(self, uri: Uri) -> ObjectStat:
        """Return size, tag and metadata of an object. The tag of a local file takes reading it."""
        found = self.find(uri)
        if found is None:
            raise absent_object(str(uri))
        return found

    def exists(self, uri: Uri) -> bool:
        """Return True if the object is there, False if it is absent."""
        backend, at = self._at(uri)
        return backend.exists(at)

    def open(self, uri: Uri, etag: str = "") -> BinaryIO:
        """Open a forward-only stream that outlives dropped connections; every byte is of one version.

        Raises IntegrityError if that version is not ``etag``. The tag of a local file is not compared.
        """
        backend, at = self._at(uri)
        return backend.open(at, etag)

    def open_ranged(self, uri: Uri) -> BinaryIO:
        """Open a seekable, unbuffered stream that fetches only what is read, all of one version."""
        backend, at = self._at(uri)
        return backend.open_ranged(at)

    def read(self, uri: Uri) -> bytes:
        """Read a whole object into memory."""
        backend, at = self._at(uri)
        return backend.read(at)

    def read_range(self, uri: Uri, start: int, size: int, etag: str = "") -> bytes:
        """Read ``size`` bytes from ``start``; fewer only where the object ends."""
        if size <= 0:
            return b""
        backend, at = self._at(uri)
        return backend.read_range(at, start, size, etag)

    def write(self, uri: Uri, content: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Write or replace an object; return its tag."""
        backend, at = self._at(uri)
        return backend.write(at, content, metadata)

    def create(self, uri: Uri, content: bytes) -> str:
        """Write an object that must not exist yet; return its tag. Raises ConditionFailed if it exists."""
        backend, at = self._at(uri)
        return backend.create(at, content)

    def replace(self, uri: Uri, content: bytes, etag: str) -> str:
        """Write over exactly the version ``etag``; return the new tag. Raises ConditionFailed otherwise.

        On this machine the condition holds only against other calls of ``create`` and ``replace``.
        """
        backend, at = self._at(uri)
        return backend.replace(at, content, etag)

    def upload(self, uri: Uri, path: Path) -> None:
        """Copy a file of this machine into the store."""
        backend, at = self._at(uri)
        backend.upload(at, path)

    def download(self, uri: Uri, path: Path, etag: str = "") -> None:
        """Copy an object to a path of this machine, making its folder; large ones by parallel ranges."""
        backend, at = self._at(uri)
        backend.download(at, path, etag)

    def fetch(self, uri: Uri, entry: FileEntry, path: Path) -> None:
        """Download an object that a manifest lists. Raises IntegrityError unless size and SHA-256 agree.

        The path then holds nothing that was not verified.
        """
        backend, at = self._at(uri)
        with self._local.publish(path) as arriving:
            if isinstance(at, S3Uri):
                # a wrong size is found before the bytes are fetched
                found = self.stat(at)
                require_size(found.size_bytes, entry, str(uri))
                transfers.download(self._s3.client, at, arriving, found.etag)
            else:
                backend.download(at, arriving, "")
            verify(arriving, entry, where=str(uri))

    def publish(self, uri: Uri) -> AbstractContextManager[Path]:
        """Yield a temporary path that becomes the object when the block ends without an error."""
        backend, at = self._at(uri)
        return backend.publish(at)

    def local_copy(self, uri: Uri, etag: str = "") -> AbstractContextManager[Path]:
        """Yield a path with the object's content: a local file itself, or a download that is removed."""
        backend, at = self._at(uri)
        return backend.local_copy(at, etag)

    def copy(
        self, source: Uri, target: Uri, etag: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        """Copy an object of any size, inside S3 where both are there; files of one disk are linked.

        Only the version ``etag`` is copied if it is given (only S3). ``metadata`` replaces that of the
        source.
        """
        read_from, write_to = locate(source), locate(target)
        if isinstance(read_from, S3Uri):
            if isinstance(write_to, S3Uri):
                transfers.copy(self._s3.client, read_from, write_to, etag, metadata)
            else:
                self._s3.download(read_from, write_to, etag)
        elif isinstance(write_to, S3Uri):
            self._s3.upload(write_to, read_from)
        else:
            self._local.copy(read_from, write_to)

    def uris(self, folder: Uri) -> list[str]:
        """Return the URIs of all objects below a folder in key order, in memory at once."""
        return [entry.uri for entry in self.list(folder)]

    def list(self, folder: Uri, starts_with: str = "") -> Iterator[ObjectStat]:
        """Yield the objects below a folder in key order, a page in memory at a time.

        ``starts_with`` keeps those whose name, relative to the folder, starts so. Folder markers are left
        out. An absent folder is empty; a missing bucket is an InputError.
        """
        backend, at = self._at(folder)
        return backend.list(at, starts_with)

    def delete(self, uri: Uri) -> None:
        """Delete one object; an absent one is no error."""
        backend, at = self._at(uri)
        backend.delete(at)

    def delete_folder(self, folder: Uri) -> int:
        """Delete everything below a folder, which is never a whole bucket; return how many objects."""
        backend, at = self._at(folder)
        return backend.delete_folder(at)

    def begin_upload(self, uri: Uri, metadata: Mapping[str, str]) -> MultipartUpload:
        """Start a multipart upload that another process can continue by its id. Only for S3."""
        return MultipartUpload.begin(self._s3.client, _of_s3(uri), metadata)

    def resume_upload(self, uri: Uri, upload_id: str) -> MultipartUpload:
        """Return the multipart upload of this id, without asking S3 whether it still exists."""
        return MultipartUpload(self._s3.client, _of_s3(uri), upload_id)

    def unfinished_uploads(self, uri: Uri) -> Sequence[MultipartUpload]:
        """Return the unfinished multipart uploads to exactly this key."""
        return MultipartUpload.unfinished(self._s3.client, _of_s3(uri))

    def signed_url(self, uri: Uri, seconds: int) -> str:
        """Return an address that lets a browser read an object of S3 for a while."""
        return self._s3.signed_url(_of_s3(uri), seconds)

    def buckets(self) -> Sequence[str]:
        """Return the names of all buckets of the account."""
        return bucket_names(self._s3.client)

    def create_buckets(self, names: Iterable[str]) -> Sequence[str]:
        """Create the buckets that do not exist yet; return their names."""
        return create_missing(names, self._s3.client)

    def _at(self, uri: Uri) -> tuple[Backend[Any], Location]:
        at = locate(uri)
        return (self._s3 if isinstance(at, S3Uri) else self._local), at


def _of_s3(uri: Uri) -> S3Uri:
    at = locate(uri)
    if not isinstance(at, S3Uri):
        raise InputError("this operation needs S3", where=str(uri), expected="s3://bucket/key")
    return at
