"""The hash of the installed code that determines a corpus, in a checkout or in spark_jobs.zip."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from include.contracts.artifacts import CORPUS_SOURCES, is_corpus_source, sources_hash
from include.contracts.records import content_hash


def sources_sha256() -> str:
    """Compute the hash that ``artifacts.json`` has for these sources (ArtifactsManifest.sources_sha256)."""
    found: dict[str, str] = {}
    for folder in CORPUS_SOURCES:
        for name, file in _below(files(folder.replace("/", ".")), folder):
            if is_corpus_source(name):
                found[name] = content_hash(file.read_bytes())
    return sources_hash(found)


def _below(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{name}/{entry.name}")
        else:
            yield f"{name}/{entry.name}", entry
