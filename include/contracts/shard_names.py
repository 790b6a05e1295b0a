"""What the names of files say: which are no shards, which belong together. DAG and Spark jobs agree on it."""

from __future__ import annotations

from collections.abc import Collection

#: Descriptions of a data set that lie beside its shards and end as shards do.
_DESCRIPTIONS = frozenset(
    f"{name}.json"
    for name in (
        *("dataset_info", "dataset_infos", "dataset_dict", "state"),  # of Hugging Face's datasets
        *("config", "croissant", "license", "manifest", "metadata", "readme", "schema"),
    )
)
_SIGNALS_SUFFIX = ".signals.json.gz"
_COMPANION_SUFFIXES = (".minhash.parquet", ".duplicates.parquet")


def left_out_by_name(names: Collection[str]) -> dict[str, str]:
    """Those that are no shards whatever they hold, with the reason; names may be keys, paths or URIs.

    Quality signals of RedPajama v2 count as shards beside their documents alone.
    """
    left_out = {name: reason for name in names if (reason := _why_no_shard(name))}
    paired = {signals_name(name) for name in names if name not in left_out}
    for name in names:
        if name.endswith(_SIGNALS_SUFFIX) and name not in left_out and name not in paired:
            left_out[name] = "quality signals without their documents"
    return left_out


def _why_no_shard(name: str) -> str:
    file = name.rpartition("/")[2]
    if file.startswith("."):
        return "a hidden file"
    if file.lower() in _DESCRIPTIONS:
        return "describes a data set and is none"
    suffix = next((suffix for suffix in _COMPANION_SUFFIXES if file.endswith(suffix)), "")
    return companion_reason(suffix.split(".")[1]) if suffix else ""


def companion_reason(kind: str) -> str:
    """Why a companion of RedPajama v2, ``minhash`` or ``duplicates``, is no shard."""
    return f"a RedPajama v2 {kind} file: it stands beside documents and holds none"


def signals_name(documents_name: str) -> str | None:
    """The name of the quality signals beside a RedPajama v2 shard of documents, or None.

    ``documents/2023-06/0000/en_head.json.gz`` has ``quality_signals/2023-06/0000/en_head.signals.json.gz``.
    """
    folder, slash, path = documents_name.rpartition("documents/")
    if not slash or not path.endswith(".json.gz"):
        return None
    return f"{folder}quality_signals/{path.removesuffix('.json.gz')}.signals.json.gz"


def parted(fresh: Collection[str], held: Collection[str]) -> list[str]:
    """Of the fresh shards, those whose documents or quality signals are among the held ones.

    Signals are read in step with their documents: what an extension reads alone stays without the other.
    """
    is_fresh, is_held = frozenset(fresh), frozenset(held)
    late_signals = {name for documents in held if (name := signals_name(documents)) in is_fresh}
    late_documents = {documents for documents in fresh if signals_name(documents) in is_held}
    return sorted(late_signals | late_documents)
