"""Rules on file names: which files are not shards, which belong together, and what they contain.

The DAGs and the Spark jobs share these rules, so that both treat the same files as shards.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from include.contracts.documents import Stage

#: Endings of shards that the readers know: plain, gzip and zstandard JSON lines, and parquet.
SHARD_SUFFIXES = (
    *(f".{form}{packing}" for form in ("jsonl", "ndjson", "json") for packing in ("", ".gz", ".zst")),
    ".parquet",
)

#: Descriptions of a data set, which are next to its shards and have the same suffixes.
_DESCRIPTIONS = frozenset(
    f"{name}.json"
    for name in (
        *("dataset_info", "dataset_infos", "dataset_dict", "state"),  # of Hugging Face's datasets
        *("config", "croissant", "license", "manifest", "metadata", "readme", "schema"),
    )
)
#: Files that Spark and Dask write next to their shards.
_WRITERS_NOTES = frozenset(("_success", "_metadata", "_common_metadata"))
_UNFINISHED_SUFFIXES = (".incomplete", ".part", ".partial", ".crdownload", ".download", ".tmp", ".aria2")
_SIGNALS_SUFFIX = ".signals.json.gz"
_COMPANION_SUFFIXES = (".minhash.parquet", ".duplicates.parquet")

_ENDING = re.compile(r"\.(?:jsonl|json|ndjson|parquet|zst|zstd|gz)$", re.IGNORECASE)
#: File names of RedPajama v1, of its sample and of its mirrors, without their endings.
_PUBLISHED_NAMES = {
    "arxiv": r"arxiv(?:_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|_sample)?",
    "book": r"book(?:_sample)?",
    "c4": r"c4(?:-train\.\d+-of-\d+|_sample)?",
    "common_crawl": (
        r"common_crawl|cc_\d{4}-\d{2}_sample|[a-z]{2}_(?:head|middle)_\d+\.json\.gz\.dedup\.classifier"
    ),
    "github": r"github(?:_[0-9a-f-]{32,36}|_sample)?|filtered_[0-9a-f]{32}\.sampled",
    "stackexchange": r"stackexchange(?:_sample)?",
    "wikipedia": r"wiki(?:pedia)?(?:_sample)?",
}

#: A folder with its request or manifest and a file like these is a corpus version, complete or not.
_VERSION_RECORDS = ("request.json", "manifest.json")
_VERSION_FILE = re.compile(
    rf"stages/(?:{'|'.join(Stage)})\.json|work/clean_parts/part-\d+\.json|work/clean/part-\d+-\d+\.parquet"
    r"|(?:held_out_)?tokens/[^/]+\.documents\.parquet"
)


def left_out_by_name(names: Collection[str], below: str = "") -> dict[str, str]:
    """Return the names that cannot be shards, whatever their files contain, each with the reason.

    Names may be keys, paths or URIs, all of which begin with ``below``. Hidden folders are skipped only
    below that prefix. Quality signals of RedPajama v2 are shards only if their documents are present.
    Every file of a corpus version is left out.
    """
    versions = version_folders(names)
    left_out = {}
    for name in names:
        folders = _folders_of(name) if versions else []
        if version := next((folder for folder in folders if folder in versions), ""):
            left_out[name] = f"part of the corpus version in {version}"
        elif reason := _why_no_shard(name, below):
            left_out[name] = reason
    paired = {signals_name(name) for name in names if name not in left_out}
    for name in names:
        if name.endswith(_SIGNALS_SUFFIX) and name not in left_out and name not in paired:
            left_out[name] = "quality signals without their documents"
    return left_out


def version_folders(names: Collection[str]) -> frozenset[str]:
    """Return the folders that are corpus versions by their file names, complete or unfinished."""
    records = {
        folder
        for folder, _, file in (name.rpartition("/") for name in names)
        if file in _VERSION_RECORDS and folder
    }
    return frozenset(
        folder
        for name in (names if records else ())
        for folder in _folders_of(name)
        if folder in records and _VERSION_FILE.fullmatch(name[len(folder) + 1 :])
    )


def published_subset(file: str) -> str:
    """Return the subset that a publisher's file name stands for; empty for any other name."""
    stem = stem_of(file)
    return next(
        (
            subset
            for subset, pattern in _PUBLISHED_NAMES.items()
            if re.fullmatch(pattern, stem, re.IGNORECASE)
        ),
        "",
    )


def stem_of(file: str) -> str:
    """Return a file's name without the endings of shards."""
    shorter = _ENDING.sub("", file)
    while shorter != file:
        file, shorter = shorter, _ENDING.sub("", shorter)
    return file


def _folders_of(name: str) -> list[str]:
    """Return all folders above a file, the outermost first."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _why_no_shard(name: str, below: str) -> str:
    *folders, file = name[len(below) :].split("/")
    if file.startswith("."):
        return "a hidden file"
    if any(folder.startswith(".") for folder in folders):
        return "in a hidden folder"
    if "_temporary" in folders or file.lower().endswith(_UNFINISHED_SUFFIXES):
        return "an unfinished file"
    if file.lower() in _DESCRIPTIONS:
        return "describes a data set and contains no documents"
    if file.lower() in _WRITERS_NOTES:
        return "a note of the program that wrote the shards"
    suffix = next((suffix for suffix in _COMPANION_SUFFIXES if file.endswith(suffix)), "")
    return companion_reason(suffix.split(".")[1]) if suffix else ""


def companion_reason(kind: str) -> str:
    """Say why a companion of RedPajama v2, ``minhash`` or ``duplicates``, is not a shard."""
    return f"a RedPajama v2 {kind} file, which holds no documents"


def signals_name(documents_name: str) -> str | None:
    """Return the name of the quality signals of a RedPajama v2 shard of documents, or None.

    ``documents/2023-06/0000/en_head.json.gz`` has ``quality_signals/2023-06/0000/en_head.signals.json.gz``.
    """
    folder, slash, path = documents_name.rpartition("documents/")
    if not slash or not path.endswith(".json.gz"):
        return None
    return f"{folder}quality_signals/{path.removesuffix('.json.gz')}.signals.json.gz"


def parted(fresh: Collection[str], held: Collection[str]) -> list[str]:
    """Return the fresh shards whose documents or quality signals are among the held ones.

    Signals are read together with their documents. In an extension that reads only one of the two, the
    documents would lack their signals.
    """
    is_fresh, is_held = frozenset(fresh), frozenset(held)
    late_signals = {name for documents in held if (name := signals_name(documents)) in is_fresh}
    late_documents = {documents for documents in fresh if signals_name(documents) in is_held}
    return sorted(late_signals | late_documents)
