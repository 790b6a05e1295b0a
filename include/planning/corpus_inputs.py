"""Inputs of a corpus: the objects that are shards, and those that are newer than the newest corpus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from include.contracts.errors import InputError
from include.contracts.manifests import RawShard
from include.contracts.shard_names import SHARD_SUFFIXES, left_out_by_name
from include.contracts.storage import CONTROL_PREFIXES, S3Uri
from include.object_store import ObjectStat
from include.object_store.locations import key_of


@dataclass(frozen=True)
class InputListing:
    """Shards in key order, and the objects under the same prefix that are none."""

    shards: tuple[RawShard, ...]
    left_out: tuple[str, ...]


def split_inputs(objects: Iterable[ObjectStat], below: str = "") -> InputListing:
    """Separate shards from other objects by their names; an empty object is left out.

    ``below`` is the prefix of the source: hidden folders count only below it. Objects that source_ingestion
    keeps for itself or has quarantined are never inputs, not even those of a whole bucket.
    """
    entries = {key_of(entry.uri): entry for entry in objects}
    entries = {key: entry for key, entry in entries.items() if not key.startswith(CONTROL_PREFIXES)}
    shards = {
        key: RawShard(entry.uri, entry.size_bytes, entry.etag)
        for key, entry in entries.items()
        if key.lower().endswith(SHARD_SUFFIXES) and entry.size_bytes > 0
    }
    for key in left_out_by_name(shards, below):
        del shards[key]
    left_out = tuple(entry.uri for key, entry in entries.items() if key not in shards)
    return InputListing(tuple(shards.values()), left_out)


def require_shards(listing: InputListing, source: S3Uri) -> InputListing:
    """Return the listing. Raises InputError with examples of other objects if there is no shard."""
    if listing.shards:
        return listing
    found = ", ".join(listing.left_out[:5]) or "nothing"
    raise InputError(
        "no shards",
        where=str(source),
        expected=f"objects that end in {', '.join(SHARD_SUFFIXES)}",
        got=found,
        remedy="run source_ingestion, or correct source_uri",
    )


def new_shards(listing: InputListing, known: Sequence[RawShard]) -> tuple[RawShard, ...]:
    """Return the shards, by URI and ETag, that are not in the corpus ``known``."""
    seen = {(shard.uri, shard.etag) for shard in known}
    return tuple(shard for shard in listing.shards if (shard.uri, shard.etag) not in seen)


def gone_shards(listing: InputListing, known: Sequence[RawShard]) -> tuple[RawShard, ...]:
    """Return the shards of ``known`` whose URI is no longer listed."""
    there = {shard.uri for shard in listing.shards}
    return tuple(shard for shard in known if shard.uri not in there)
