"""Gather the demo's default corpus: text of the installed packages, as shards in The Pile's format.

Source files, documentation, READMEs and licences are real text that every machine has after set-up.
Only the environments of `make setup` are read: an environment of a test suite or a tool would change the
corpus. The same environments give the same bytes: files are ordered by a hash of their path, and each
subset is filled up to its budget. Duplicates between environments are kept for the pipeline to find.
"""

from __future__ import annotations

import email
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

MIB = 2**20
#: Bytes of text per subset. The sum exceeds the 50 MB that the demo needs.
BUDGETS = {"Source Code": 42 * MIB, "Documentation": 12 * MIB, "READMEs": 5 * MIB, "Licences": 3 * MIB}
_SHARD_BYTES = 8 * MIB
_MAX_FILE_BYTES = 400_000
_DOCUMENTATION_SUFFIXES = {".md", ".rst", ".txt"}


@dataclass(frozen=True)
class GatheredShard:
    """A ``.jsonl.zst`` file that was written."""

    path: Path
    subset: str
    documents: int
    text_bytes: int


def gather(folder: Path, environments: Sequence[str], output: Path) -> list[GatheredShard]:
    """Write shards of the text of these environments to ``output``, replacing earlier shards.

    Returns the shards in name order. Files that are not UTF-8 are skipped: they are no text.
    """
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("*.jsonl.zst"):
        old.unlink()
    candidates: dict[str, list[tuple[str, Path]]] = {subset: [] for subset in BUDGETS}
    for name in environments:
        for path in (folder / name).glob("lib/python3.*/site-packages/**/*"):
            if subset := subset_of(path):
                relative = path.relative_to(folder).as_posix()
                candidates[subset].append((hashlib.sha256(relative.encode()).hexdigest(), path))
    shards = []
    for subset, files in candidates.items():
        files.sort()
        documents = _within(_documents(files, folder, subset), BUDGETS[subset])
        shards += _write_shards(subset, documents, output)
    return sorted(shards, key=lambda shard: shard.path.name)


def subset_of(path: Path) -> str | None:
    """Return the subset that a file of a package belongs to, or None if it is neither prose nor code."""
    name, suffix = path.name, path.suffix.lower()
    if name == "METADATA" and path.parent.suffix == ".dist-info":
        return "READMEs"
    if name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")) and suffix != ".py":
        return "Licences"
    if ".dist-info" in path.parent.name:
        return None
    if suffix == ".py":
        return "Source Code"
    return "Documentation" if suffix in _DOCUMENTATION_SUFFIXES else None


def _documents(files: list[tuple[str, Path]], root: Path, subset: str) -> Iterator[dict[str, object]]:
    for _, path in files:
        if not path.is_file() or not 0 < path.stat().st_size <= _MAX_FILE_BYTES:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if subset == "READMEs":
            text = str(email.message_from_string(text).get_payload())
        if text.strip():
            meta = {"pile_set_name": subset, "path": path.relative_to(root).as_posix()}
            yield {"text": text, "meta": meta}


def _within(documents: Iterator[dict[str, object]], budget: int) -> Iterator[dict[str, object]]:
    taken = 0
    for document in documents:
        taken += len(str(document["text"]).encode())
        if taken > budget:
            return
        yield document


def _write_shards(subset: str, documents: Iterator[dict[str, object]], output: Path) -> list[GatheredShard]:
    shards: list[GatheredShard] = []
    buffer, count, size = io.BytesIO(), 0, 0

    def flush() -> None:
        nonlocal buffer, count, size
        if count:
            name = f"{subset.lower().replace(' ', '-')}-{len(shards):05d}.jsonl.zst"
            compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
            (output / name).write_bytes(compressor.compress(buffer.getvalue()))
            shards.append(GatheredShard(output / name, subset, count, size))
        buffer, count, size = io.BytesIO(), 0, 0

    for document in documents:
        line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        buffer.write(line)
        count, size = count + 1, size + len(str(document["text"]).encode())
        if size >= _SHARD_BYTES:
            flush()
    flush()
    return shards
