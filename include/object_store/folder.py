"""A folder of a store: files by names relative to one root."""

from __future__ import annotations

from pathlib import Path

from include.contracts.manifests import FileEntry
from include.object_store.locations import Uri, join, locate
from include.object_store.store import ObjectStore
from include.object_store.verification import verify_stream


class Folder:
    """Files under one root, in S3 or on this machine; names are relative, with '/'."""

    def __init__(self, root: Uri, store: ObjectStore | None = None) -> None:
        self.root = str(locate(root))
        self._store = store or ObjectStore()

    def uri(self, name: str = "") -> str:
        """Return the URI of a file; that of the folder, with a final '/', without a name."""
        return join(self.root, name) if name else join(self.root, "")

    def sizes(self, starts_with: str = "") -> dict[str, int]:
        """Return names and sizes in bytes of the files whose names start so, in key order."""
        root = self.uri()
        listed = self._store.list(self.root, starts_with)
        return {entry.uri.removeprefix(root): entry.size_bytes for entry in listed}

    def exists(self, name: str) -> bool:
        """Return True if the file is there."""
        return self._store.exists(self.uri(name))

    def read(self, name: str) -> bytes:
        """Read a whole file. Raises ObjectAbsent with its URI if it is missing."""
        return self._store.read(self.uri(name))

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file; a reader sees the old content or the new, never a part."""
        self._store.write(self.uri(name), content)

    def upload(self, name: str, path: Path) -> None:
        """Copy a file of this machine into the folder."""
        self._store.upload(self.uri(name), path)

    def download(self, name: str, path: Path) -> None:
        """Copy a file to this machine, making its folder."""
        self._store.download(self.uri(name), path)

    def fetch(self, entry: FileEntry, path: Path) -> None:
        """Download a file of a manifest. Raises IntegrityError unless size and SHA-256 agree."""
        self._store.fetch(self.uri(entry.path), entry, path)

    def verify(self, entry: FileEntry) -> None:
        """Read a file of a manifest where it is. Raises IntegrityError unless size and SHA-256 agree."""
        uri = self.uri(entry.path)
        with self._store.open(uri) as stream:
            verify_stream(stream, entry, where=uri)

    def delete_folder(self, name: str) -> int:
        """Delete everything below ``name``; return how many files."""
        return self._store.delete_folder(self.uri(name))

    def delete(self, name: str) -> None:
        """Delete a file; an absent one is no error."""
        self._store.delete(self.uri(name))
