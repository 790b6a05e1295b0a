"""The held-out documents of a corpus, which no model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from include.contracts.errors import InputError, IntegrityError
from include.contracts.manifests import CorpusManifest, TokenShard
from include.object_store import Folder
from training.tokens import TokenIds, open_shard, require_known_ids

_TOKENS = "held_out_tokens/"
_TOKENIZER = "tokenizer/tokenizer.json"


@dataclass(frozen=True)
class HeldOutDocument:
    """The text of one document, and its tokens by the corpus's tokenizer, which may be truncated."""

    id: str
    tokens: TokenIds
    text: str
    text_bytes: int


@dataclass(frozen=True)
class HeldOut:
    """The held-out documents by subset, and the bytes of the tokenizer.json that encoded them."""

    subsets: dict[str, list[HeldOutDocument]]
    tokenizer: bytes
    end_of_text_id: int


def fetch_held_out(folder: Folder, manifest: CorpusManifest, target: Path, max_tokens: int) -> HeldOut:
    """Download and verify the held-out shards. Raises InputError if the corpus has no held-out document.

    Documents are truncated after ``max_tokens`` tokens, unless that is 0.
    """
    from tokenizers import Tokenizer

    entries = {entry.path: entry for entry in manifest.files}
    folder.fetch(entries[_TOKENIZER], target / "tokenizer.json")
    content = (target / "tokenizer.json").read_bytes()
    tokenizer = Tokenizer.from_buffer(content)
    subsets: dict[str, list[HeldOutDocument]] = {}
    for shard in manifest.held_out_shards:
        documents = _documents(folder, shard, manifest, target, max_tokens)
        subsets.setdefault(shard.subset, []).extend(
            HeldOutDocument(id_, tokens, text := tokenizer.decode(tokens.tolist()), len(text.encode()))
            for id_, tokens in documents
        )
    if not any(subsets.values()):
        raise InputError(
            "the corpus holds no held-out document",
            where=manifest.root_uri,
            remedy="raise held_out.share in the corpus recipe, or use more data",
        )
    return HeldOut(subsets, content, manifest.end_of_text_id)


def _documents(
    folder: Folder, shard: TokenShard, manifest: CorpusManifest, target: Path, max_tokens: int
) -> list[tuple[str, TokenIds]]:
    import pyarrow.parquet as pq

    entries = {entry.path: entry for entry in manifest.files}
    for suffix in (".idx", ".bin", ".documents.parquet"):
        name = f"{shard.name}{suffix}"
        folder.fetch(entries[_TOKENS + name], target / name)
    ids = pq.read_table(target / f"{shard.name}.documents.parquet", columns=["id"])["id"].to_pylist()
    tokens = open_shard(target, shard, entries, _TOKENS, full=True)
    require_known_ids(tokens, 0, tokens.count, manifest.vocabulary_size)
    if len(ids) != shard.documents:
        raise IntegrityError(
            "differs from the corpus manifest",
            where=f"{shard.name}.documents.parquet",
            expected=f"{shard.documents} documents",
            got=str(len(ids)),
            remedy="build the corpus version again",
        )
    return [
        (id_, np.asarray(tokens.document(number)[: max_tokens or None], dtype=np.int64))
        for number, id_ in enumerate(ids)
    ]
