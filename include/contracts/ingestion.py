"""The records of source_ingestion, which are passed between tasks and kept in S3."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from include.contracts.errors import ContractError
from include.contracts.manifests import SCHEMA_VERSION
from include.contracts.storage import NOTE_SUFFIX

_SEGMENT = re.compile(r"[A-Za-z0-9_.=+@,-]+")
_HEX_DIGITS = {"sha256": 64, "md5": 32}
#: S3 keys have at most 1024 bytes, and the prefix, the staging folder and suffixes need some of them.
_LONGEST_NAME = 700
#: Object metadata has at most 2 KB in total, and the URL is part of it.
_LONGEST_URL = 1024


class ChecksumKind(enum.Enum):
    """Kinds of checksums. ``etag`` pins the version that the server names, but does not verify the bytes."""

    SHA256 = "sha256"
    MD5 = "md5"
    ETAG = "etag"


@dataclass(frozen=True)
class Checksum:
    """A checksum as its source publishes it; hexadecimal digits in lower case."""

    kind: ChecksumKind
    value: str

    def __post_init__(self) -> None:
        digits = _HEX_DIGITS.get(self.kind.value)
        valid = (
            bool(self.value) if digits is None else bool(re.fullmatch(f"[0-9a-f]{{{digits}}}", self.value))
        )
        if not valid:
            expected = f"{digits} hexadecimal digits in lower case" if digits else "a value"
            raise ContractError(
                f"not a checksum of kind {self.kind.value}", expected=expected, got=repr(self.value)
            )


@dataclass(frozen=True)
class Shard:
    """One file to fetch. ``name`` is its key below the target prefix.

    A size or checksum is None if the source does not publish it.
    """

    name: str
    url: str
    size_bytes: int | None = None
    checksum: Checksum | None = None

    def __post_init__(self) -> None:
        if problem := name_problem(self.name):
            raise ContractError(problem, where=repr(self.name[:200]), expected="a relative path")
        if problem := url_problem(self.url):
            raise ContractError(problem, where=repr(self.url[:200]), expected="http(s)://host/path")
        if self.size_bytes is not None and self.size_bytes < 0:
            raise ContractError("a negative size", where=self.name, got=str(self.size_bytes))


def name_problem(name: str) -> str:
    """Return why ``name`` may not be a key below the target prefix, or '' if it may."""
    segments = name.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return "the name leaves its folder or has an empty segment"
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        return "the name has characters other than letters, digits and _ . = + @ , -"
    if name.endswith(NOTE_SUFFIX):
        return f"names that end in {NOTE_SUFFIX} are reserved for quarantine notes"
    return "the name is too long" if len(name) > _LONGEST_NAME else ""


def url_problem(url: str, longest: int = _LONGEST_URL) -> str:
    """Return why ``url`` may not be fetched, or '' if it may. The address is checked when it is opened."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https"):
        return f"the scheme {parts.scheme!r} is not supported"
    if not host:
        return "the URL has no host"
    if parts.username is not None or parts.password is not None:
        return "a URL with credentials would be written into metadata and logs"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "the URL has characters that must be percent-encoded"
    return "the URL is too long" if len(url) > longest else ""


@dataclass(frozen=True)
class BatchRequest:
    """The shards of one mapped task of ``run``: written by ``plan``, read by ``fetch``."""

    run: str
    index: int
    source: str
    licence: str
    target_uri: str
    verify_existing: bool
    shards: tuple[Shard, ...]
    schema_version: int = SCHEMA_VERSION


class ShardState(enum.Enum):
    """The result for a shard. Only the first two are good: fetched by this run, or present before it."""

    FETCHED = "fetched"
    PRESENT = "present"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"

    @property
    def is_good(self) -> bool:
        """True if the shard is at its key and was verified."""
        return self in (ShardState.FETCHED, ShardState.PRESENT)


@dataclass(frozen=True)
class ShardOutcome:
    """The outcome of a shard; ``published`` names the checksum that its bytes were compared with.

    ``received_bytes`` and the fields after it are sums over all tries of the run, except those that were
    killed. ``tried`` is False for a shard that was left for a later try, because others failed before it.
    ``published`` is ``none`` if the source publishes neither SHA-256 nor MD5; ``sha256`` is then only the
    hash of the bytes received. ``reason`` says why a shard is not good.
    """

    name: str
    url: str
    state: ShardState
    size_bytes: int = 0
    sha256: str = ""
    published: str = "none"
    received_bytes: int = 0
    discarded_bytes: int = 0
    resumes: int = 0
    restarts: int = 0
    reason: str = ""
    tried: bool = True
    retry_after_seconds: float = 0.0


@dataclass(frozen=True)
class BatchReport:
    """The result of a batch in its newest try.

    A try replaces the report of the previous one when it begins, and lists no shard until it ends.
    """

    index: int
    outcomes: tuple[ShardOutcome, ...]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class QuarantineNote:
    """The note next to a quarantined shard: the published and the received size and checksum."""

    source: str
    name: str
    url: str
    what: str
    expected: str
    got: str
    size_bytes: int
    sha256: str
    retrieved_at: str
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class IngestionManifest:
    """The result of one run. ``counts`` are shards by state; a run is complete if all are good."""

    run: str
    source: str
    licence: str
    homepage: str
    target_uri: str
    counts: dict[str, int]
    size_bytes: int
    received_bytes: int
    shards: tuple[ShardOutcome, ...]
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if sum(self.counts.values()) != len(self.shards):
            raise ContractError(
                "shards do not add up",
                where=f"ingestion {self.run}",
                expected=f"{len(self.shards)} shards",
                got=f"{sum(self.counts.values())} counted",
            )


@dataclass(frozen=True)
class AnnouncedShards:
    """The shards below one target prefix that the asset raw_shards was emitted for: SHA-256 by name.

    ``run`` is the run that announced shards last.
    """

    run: str
    shards: dict[str, str]
    schema_version: int = SCHEMA_VERSION
