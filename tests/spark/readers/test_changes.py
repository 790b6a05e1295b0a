"""A shard that changes while it is read is refused, whatever container it is in."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from include.contracts.errors import IntegrityError
from include.contracts.manifests import RawShard
from include.recipes.corpus import ReadRecipe
from spark_jobs.readers.counts import ReadCounts
from spark_jobs.readers.documents import read_documents
from spark_jobs.readers.input_files import raw_shard
from spark_jobs.readers.shards import NumberedShard

DROPPED_AFTER_BYTES = 1_200_000


@pytest.fixture(params=["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path, write_shard: Callable[..., Path]) -> Path:
    """A shard of more bytes than a reader holds, and of more documents than a batch has."""
    noise = random.Random(1)
    texts = [noise.randbytes(40).hex() for _ in range(60_000)]
    shard = tmp_path / request.param
    if shard.suffix != ".parquet":
        return write_shard(shard, [{"text": text} for text in texts])
    pq.write_table(pa.table({"text": texts}), shard)
    return shard


def test_a_local_file_that_is_altered_after_its_first_batch_is_refused(path: Path) -> None:
    batches = read_documents(NumberedShard(0, "a", raw_shard(str(path))), ReadRecipe(), ReadCounts())
    assert next(batches).num_rows
    content = path.read_bytes()
    with path.open("r+b") as file:  # its size stays
        file.seek(-3, io.SEEK_END)
        file.write(bytes([content[-3] ^ 1]))
    with pytest.raises(IntegrityError, match="not the one that the request names"):
        list(batches)


def test_an_object_that_is_another_when_its_connection_drops_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = path.read_bytes()
    assert len(content) > DROPPED_AFTER_BYTES
    asked: list[dict[str, Any]] = []

    class Body(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= DROPPED_AFTER_BYTES:
                raise ConnectionResetError
            return super().read(min(size or 0, DROPPED_AFTER_BYTES - self.tell()))

    class Client:
        def get_object(self, **request: Any) -> dict[str, Any]:
            if "Range" not in request:
                return {"Body": Body(content)}
            asked.append(request)
            failed = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
            raise ClientError(failed, "GetObject")  # type: ignore[arg-type]

    monkeypatch.setattr("include.object_store.s3.s3_client", Client)
    shard = NumberedShard(0, "a", RawShard("s3://bucket/a", len(content), "tag"))
    with pytest.raises(IntegrityError, match="got another version"):
        list(read_documents(shard, ReadRecipe(), ReadCounts()))
    # asked once, on condition, and not again and again
    assert [(one["Range"], one["IfMatch"]) for one in asked] == [(f"bytes={DROPPED_AFTER_BYTES}-", '"tag"')]
