"""What the names of raw shards say: which ones belong together. Both sides of a CorpusRequest agree on it."""

from __future__ import annotations

from collections.abc import Collection


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
