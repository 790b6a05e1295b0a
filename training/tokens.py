"""Reads token shards in Megatron's format (``.bin`` and ``.idx``), memory-mapped and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from include.contracts.errors import IntegrityError
from include.contracts.manifests import FileEntry, TokenShard
from include.contracts.megatron import HEADER, MAGIC, TYPE_CODES, VERSION
from include.object_store.verification import verify

_TYPE_NAMES = {code: name for name, code in TYPE_CODES.items()}

Tokens = npt.NDArray[np.integer]
TokenIds = npt.NDArray[np.int64]


class TokenFile:
    """One token shard. ``lengths`` and ``offsets`` of its documents are in tokens."""

    def __init__(self, stem: Path) -> None:
        """Map ``<stem>.idx`` and ``<stem>.bin``. Raises IntegrityError if they are malformed."""
        self.name = stem.name
        index, data = stem.with_name(f"{stem.name}.idx"), stem.with_name(f"{stem.name}.bin")
        for path in (index, data):
            if not path.is_file():
                raise IntegrityError("is missing", where=str(path))
        content = index.read_bytes()
        dtype, self.lengths, pointers = _parse_index(content, str(index))
        self.offsets: TokenIds = pointers // dtype.itemsize
        self.count = int(self.lengths.sum())
        expected = self.count * dtype.itemsize
        if data.stat().st_size != expected:
            raise IntegrityError(
                "wrong size for its index",
                where=str(data),
                expected=f"{expected} bytes",
                got=f"{data.stat().st_size}",
            )
        contiguous = np.concatenate(([0], np.cumsum(self.lengths, dtype=np.int64)))[:-1]
        if not np.array_equal(self.offsets, contiguous):
            raise IntegrityError("documents are not contiguous", where=str(index))
        self.tokens: Tokens = (
            np.memmap(data, dtype=dtype, mode="r") if self.count else np.empty(0, dtype=dtype)
        )

    def document(self, number: int) -> Tokens:
        """Return the token ids of one document."""
        start = int(self.offsets[number])
        return self.tokens[start : start + int(self.lengths[number])]


def require_known_ids(file: TokenFile, start: int, stop: int, vocabulary_size: int) -> Tokens:
    """Return the tokens ``[start, stop)``. Raises IntegrityError for an id that is not in the vocabulary."""
    tokens = file.tokens[start:stop]
    if not len(tokens) or (int(tokens.max()) < vocabulary_size and int(tokens.min()) >= 0):
        return tokens
    offset = int(np.flatnonzero((tokens >= vocabulary_size) | (tokens < 0))[0])
    position = start + offset
    document = int(np.searchsorted(file.offsets, position, side="right")) - 1
    raise IntegrityError(
        "holds a token id that is not in the vocabulary",
        where=f"token shard '{file.name}', token {position} (in document {document})",
        expected=f"ids from 0 to {vocabulary_size - 1}",
        got=str(int(tokens[offset])),
        remedy="the shard is damaged or was written with another tokenizer: build the corpus version again",
    )


def open_shard(
    folder: Path, shard: TokenShard, entries: dict[str, FileEntry], prefix: str, *, full: bool
) -> TokenFile:
    """Open ``shard`` in ``folder`` and check it against the manifest's entries ``<prefix>/<name>.*``.

    Sizes and the hash of the index are always checked. ``full`` also hashes the tokens, which takes about one
    second per gigabyte.
    """
    for suffix in (".idx", ".bin"):
        path = folder / f"{shard.name}{suffix}"
        entry = entries.get(f"{prefix}{shard.name}{suffix}")
        if entry is None:
            raise IntegrityError("is not listed in the corpus manifest", where=path.name)
        if not path.is_file():
            raise IntegrityError(
                "is missing", where=str(path), remedy="give the channel the whole tokens/ prefix"
            )
        if path.stat().st_size != entry.size_bytes:
            raise IntegrityError(
                "wrong size",
                where=str(path),
                expected=f"{entry.size_bytes} bytes",
                got=f"{path.stat().st_size}",
            )
        if full or suffix == ".idx":
            verify(path, entry)
    tokens = TokenFile(folder / shard.name)
    if (len(tokens.lengths), tokens.count) != (shard.documents, shard.tokens):
        raise IntegrityError(
            "differs from the corpus manifest",
            where=shard.name,
            expected=f"{shard.documents} documents, {shard.tokens} tokens",
            got=f"{len(tokens.lengths)} documents, {tokens.count} tokens",
        )
    return tokens


def _parse_index(content: bytes, where: str) -> tuple[np.dtype[np.integer], TokenIds, TokenIds]:
    if len(content) < HEADER.size or not content.startswith(MAGIC):
        raise IntegrityError(
            "is not a Megatron index", where=where, expected=f"magic {MAGIC!r}", got=repr(content[:9])
        )
    _, version, code, sequences, boundaries = HEADER.unpack_from(content)
    if version != VERSION:
        raise IntegrityError("unknown version", where=where, expected=str(VERSION), got=str(version))
    if code not in _TYPE_NAMES:
        raise IntegrityError(
            "unknown token type", where=where, expected=f"one of {sorted(_TYPE_NAMES)}", got=str(code)
        )
    expected = HEADER.size + 12 * sequences + 8 * boundaries
    if len(content) != expected:
        raise IntegrityError("torn index", where=where, expected=f"{expected} bytes", got=str(len(content)))
    lengths = np.frombuffer(content, dtype="<i4", count=sequences, offset=HEADER.size).astype(np.int64)
    pointers = np.frombuffer(content, dtype="<i8", count=sequences, offset=HEADER.size + 4 * sequences)
    return np.dtype(_TYPE_NAMES[code]), lengths, pointers.astype(np.int64)
