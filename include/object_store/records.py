"""Records (manifests, requests, reports) in a store: canonical JSON, referenced by the hash of its bytes."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from include.contracts.errors import IntegrityError
from include.contracts.manifests import ParentRef
from include.contracts.records import canonical_json, content_hash, parse_json
from include.object_store.locations import Uri

T = TypeVar("T")


class _ReadsAndWrites(Protocol):
    def read(self, uri: Uri) -> bytes: ...

    def write(self, uri: Uri, content: bytes) -> str: ...


class Records:
    """The operations of a store on records."""

    def read_record(self: _ReadsAndWrites, kind: type[T], uri: Uri, sha256: str = "") -> T:
        """Read a record. Raises ContractError for another form, IntegrityError for another hash."""
        return referenced_record(self, kind, uri, sha256)[0]

    def referenced_record(
        self: _ReadsAndWrites, kind: type[T], uri: Uri, sha256: str = ""
    ) -> tuple[T, ParentRef]:
        """Read a record, with the reference of the very bytes that were read."""
        return referenced_record(self, kind, uri, sha256)

    def write_record(self: _ReadsAndWrites, uri: Uri, record: Any) -> ParentRef:
        """Write a record canonically; return its reference with the hash of the stored bytes."""
        content = canonical_json(record)
        self.write(uri, content)
        return ParentRef(str(uri), content_hash(content))

    def reference(self: _ReadsAndWrites, uri: Uri) -> ParentRef:
        """Return the reference of an object as it is now."""
        return ParentRef(str(uri), content_hash(self.read(uri)))


def referenced_record(store: _ReadsAndWrites, kind: type[T], uri: Uri, sha256: str) -> tuple[T, ParentRef]:
    """Read a record and its reference."""
    content = store.read(uri)
    found = content_hash(content)
    if sha256 and found != sha256:
        raise IntegrityError(
            "the manifest changed after it was announced",
            where=str(uri),
            expected=f"sha256 {sha256}",
            got=found,
            remedy="start the run again with the hash of the present manifest",
        )
    return parse_json(kind, content, where=str(uri)), ParentRef(str(uri), found)
