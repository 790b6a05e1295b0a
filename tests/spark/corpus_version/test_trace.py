"""Every token leads back to the document that it was made of, and to its raw record."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from include.contracts.errors import InputError
from include.contracts.manifests import CorpusManifest
from include.object_store import STORE
from spark_jobs.corpus_version.trace import main, trace
from spark_jobs.tokens.encoding import Library, encode
from spark_jobs.tokens.examination import examine

if TYPE_CHECKING:
    from tests.spark.conftest import Known


def raw_line(uri: str, row: int) -> dict[str, object]:
    content = Path(uri).read_bytes()
    if uri.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    elif uri.endswith(".gz"):
        content = zlib.decompressobj(wbits=31).decompress(content)  # one of them is cut
    record: dict[str, object] = json.loads(content.split(b"\n")[row])
    return record


def test_random_tokens_lead_to_their_documents_and_raw_records(built: Path, known: Known) -> None:
    manifest = STORE.read_record(CorpusManifest, str(built / "manifest.json"))
    content = (built / "tokenizer/tokenizer.json").read_bytes()
    tokenizer = examine(content, "<|endoftext|>", "here")
    generator = random.Random(3)
    for shard in manifest.shards:
        tokens = np.fromfile(built / "tokens" / f"{shard.name}.bin", manifest.token_dtype)
        for offset in (0, len(tokens) - 1, *generator.sample(range(len(tokens)), 4)):
            origin = trace(f"{built}/tokens/{shard.name}:{offset}")
            (ids,), _ = encode(tokenizer, Library.TOKENIZERS, pa.array([origin.text]), manifest.token_dtype)
            assert len(ids) == origin.document_tokens
            assert ids[origin.token_in_document] == tokens[offset]
            assert origin.subset == shard.subset
            assert str(raw_line(origin.raw_shard, origin.row)["text"]).strip() == origin.text


@pytest.mark.parametrize("address", ["nowhere", "x:-1", "x:one", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not a token's address"):
        trace(address)


def test_a_token_behind_the_end_and_a_shard_that_is_none_are_named(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = STORE.read_record(CorpusManifest, str(built / "manifest.json")).shards[0]
    assert main([f"{built}/tokens/{shard.name}.bin:{shard.tokens}"]) == 2
    assert f"expected 0 to {shard.tokens - 1}" in capsys.readouterr().err
    assert main([f"{built}/tokens/none-00000:0"]) == 2
    assert "no such" in capsys.readouterr().err


def test_the_document_is_printed_with_its_raw_shard(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = STORE.read_record(CorpusManifest, str(built / "manifest.json")).shards[0]
    assert main([f"{built}/tokens/{shard.name}:0"]) == 0
    printed = capsys.readouterr().out
    assert main([f"{built}/tokens/{shard.name}:0", "--json"]) == 0
    origin = json.loads(capsys.readouterr().out)
    assert origin["raw_shard"] in printed and printed.endswith(f"\n\n{origin['text']}\n")


def test_a_document_cannot_command_the_terminal(
    built: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = STORE.read_record(CorpusManifest, str(built / "manifest.json")).shards[0]
    address = f"{built}/tokens/{shard.name}:0"
    hostile = "clear \x1b[2J and title \x1b]0;x\x07\n\tnext \u202eline"
    origin = replace(trace(address), text=hostile, subset=hostile, metadata={"a": hostile})
    monkeypatch.setattr("spark_jobs.corpus_version.trace.trace", lambda _: origin)
    assert main([address]) == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(printed)
    assert "clear \N{REPLACEMENT CHARACTER}[2J" in printed and "\n\tnext " in printed
