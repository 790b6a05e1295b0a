"""The identity of a corpus, computed by `corpus_refresh` and `make corpus` in the same way.

Both name the same version where they take the same objects for shards. They agree on names
(``include.contracts.shard_names``); `make corpus` looks into the files as well: it leaves out those without
text, and takes in shards of another ending. The address of a shard counts: a copy elsewhere makes another
version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from include.contracts.manifests import ParentRef, RawShard
from include.contracts.records import canonical_json, content_hash
from include.recipes.corpus import CorpusRecipe


def corpus_version(
    inputs: Sequence[RawShard],
    recipe: CorpusRecipe,
    sources_sha256: str,
    references: Mapping[str, str] | None = None,
    base: ParentRef | None = None,
) -> str:
    """Return ``<recipe>-<16 hexadecimal digits>``, the same for the same inputs, recipe and code.

    ``references`` has the ETag of each file that the recipe names; ``base`` is the version that ``inputs``
    are added to.
    """
    identity = {
        "inputs": sorted(
            (shard.uri, shard.size_bytes, shard.etag, *filter(None, [shard.name])) for shard in inputs
        ),
        "recipe": recipe,
        "sources": sources_sha256,
        "references": dict(references or {}),
    }
    if base is not None:
        identity["base"] = base.sha256
    return f"{recipe.name}-{content_hash(canonical_json(identity))[:16]}"
