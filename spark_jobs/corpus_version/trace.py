"""Trace a token back to its document.

python -m spark_jobs.corpus_version.trace CORPUS/tokens/<shard>:<token offset>

Prints the token's origin (document, subset, raw shard and row), then the document itself. ``--json`` prints
one JSON object instead. The corpus may be in a folder or in S3.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from include.contracts.errors import InputError, NexusError
from include.contracts.manifests import CorpusRequest
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.readers.shards import all_shards
from spark_jobs.runtime.parquet import documents_by_id


@dataclass(frozen=True)
class TokenOrigin:
    """The origin of a token. ``row`` counts the records of the raw shard from 0."""

    token: int
    token_in_document: int
    document_tokens: int
    document: str
    raw_shard: str
    row: int
    source: str
    subset: str
    metadata: Any
    text: str


def trace(address: str) -> TokenOrigin:
    """Find the origin of ``<corpus>/tokens/<shard>:<offset>``. Raises InputError if no token is there."""
    shard, _, offset = address.rpartition(":")
    if not shard or not offset.isdecimal():
        raise InputError(
            "not a token's address", where=repr(address), expected="<corpus>/tokens/<shard>:<token offset>"
        )
    for ending in (".bin", ".idx", ".documents.parquet"):
        shard = shard.removesuffix(ending)
    document, first, tokens = _document_of(shard, int(offset))
    layout = VersionLayout(shard.rpartition("/")[0].rpartition("/")[0])
    name, _, row = document.rpartition("/")
    fields = documents_by_id(layout, [document]).get(document)
    if fields is None:
        raise InputError("the corpus does not hold the document", where=layout.root, got=document)
    return TokenOrigin(
        token=int(offset),
        token_in_document=int(offset) - first,
        document_tokens=tokens,
        document=document,
        raw_shard=_raw_shard(layout, name),
        row=int(row),
        source=fields["source"],
        subset=fields["subset"],
        metadata=json.loads(fields["metadata"]),
        text=fields["text"],
    )


def _document_of(shard: str, offset: int) -> tuple[str, int, int]:
    """Return id, first token and number of tokens of the document that holds the token."""
    with STORE.local_copy(f"{shard}.documents.parquet") as path:
        if not path.is_file():
            raise InputError("no such token shard", where=shard, expected="a shard of <corpus>/tokens/")
        table = pq.read_table(path, columns=["id", "token_offset", "tokens"])
    starts = np.asarray(table.column("token_offset"))
    tokens = int(table.column("tokens")[-1].as_py() + starts[-1])
    if offset >= tokens:
        raise InputError("the shard ends before", where=f"{shard}:{offset}", expected=f"0 to {tokens - 1}")
    position = int(np.searchsorted(starts, offset, side="right")) - 1
    row = table.slice(position, 1).to_pylist()[0]
    return row["id"], row["token_offset"], row["tokens"]


def _raw_shard(layout: VersionLayout, name: str) -> str:
    request = STORE.read_record(CorpusRequest, join(layout.root, "request.json"))
    return next(shard.raw.uri for shard in all_shards(request.all_inputs) if shard.name == name)


def _shown(text: str) -> str:
    """Replace the control characters of a text, some of which a terminal would execute."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the origin of a token. Return 0, or 2 after an error for the user."""
    parser = argparse.ArgumentParser(prog="trace", description=__doc__)
    parser.add_argument("token", help="<corpus>/tokens/<shard>:<token offset>")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args(argv)
    try:
        origin = trace(arguments.token)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(asdict(origin), ensure_ascii=False))
        return 0
    print(
        f"token      {origin.token} ({origin.token_in_document} of {origin.document_tokens} in its document)"
    )
    print(f"document   {origin.document}")
    print(f"raw shard  {origin.raw_shard}, row {origin.row}")
    print(f"subset     {_shown(origin.subset)} ({_shown(origin.source)})")
    print(f"metadata   {json.dumps(origin.metadata)}")
    print(f"\n{_shown(origin.text)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
