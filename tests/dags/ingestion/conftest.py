"""A hostile server, a raw bucket of its own for each test, and a source that is fetched from there."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.contracts.ingestion import BatchReport, BatchRequest, Shard, ShardOutcome
from include.contracts.storage import IngestionLayout, S3Uri
from include.ingest.run import fetch_batch
from include.object_store import ObjectStore
from include.settings import Settings, load_settings
from tests.dags.ingestion.hostile_server import HostileServer, hostile_server

ROOT = Path(__file__).resolve().parents[3]
SOURCE = """
name = "mirror"
title = "A mirror of tests"
homepage = "http://127.0.0.1/"
licence = "CC0-1.0"
raw_prefix = "mirror/"

[[listings]]
url = "{base}list.txt"

[[listings.components]]
name = "shards"
url = "{base}{{path}}"

[[listings.checksum_lists]]
url = "{base}SHA256SUMS"

[politeness]
max_attempts = 3
backoff_seconds = 0.05
max_wait_seconds = 5.0
connect_timeout_seconds = 2.0
read_timeout_seconds = 1.0
"""
MEBI = 1 << 20


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile_server() as running:
        yield running


@dataclass
class Ingestion:
    """The raw bucket and what is asked of it."""

    settings: Settings
    settings_path: Path
    s3: Any
    server: HostileServer
    waited: list[float]

    @property
    def bucket(self) -> str:
        return self.settings.storage.raw_bucket

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.s3)

    @property
    def layout(self) -> IngestionLayout:
        return IngestionLayout(self.bucket)

    def shard(self, name: str, **more: Any) -> Shard:
        return Shard(name, self.server.url(name), **more)

    def write_batch(self, *shards: Shard, run: str = "run", verify: bool = False) -> str:
        request = BatchRequest(run, 0, "mirror", "CC0-1.0", f"s3://{self.bucket}/mirror/", verify, shards)
        uri = self.layout.batch(run, 0)
        self.store.write_record(uri, request)
        return str(uri)

    def fetch(self, *shards: Shard, run: str = "run", verify: bool = False) -> BatchReport:
        uri = self.write_batch(*shards, run=run, verify=verify)
        return fetch_batch(self.settings, run, uri, sleep=self._wait, store=self.store)

    def fetch_one(self, shard: Shard, run: str = "run", verify: bool = False) -> ShardOutcome:
        return self.fetch(shard, run=run, verify=verify).outcomes[0]

    def _wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    def keys(self, prefix: str = "") -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", ())]

    def body(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def metadata(self, key: str) -> dict[str, str]:
        return dict(self.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"])

    def uploads(self) -> list[dict[str, Any]]:
        return list(self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))

    def leaves_nothing_behind(self) -> None:
        """Assert that no staged object, no upload record and no multipart upload is left."""
        left = [key for key in self.keys("_ingestion/") if not key.startswith("_ingestion/runs/")]
        assert (left, self.uploads()) == ([], [])

    def target(self, name: str) -> S3Uri:
        return S3Uri(self.bucket, f"mirror/{name}")


@pytest.fixture
def ingestion(aws: Any, server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingestion:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "mirror.toml").write_text(SOURCE.format(base=server.url("")))
    bucket = f"raw-{uuid.uuid4().hex[:12]}"
    text = (ROOT / "include/settings/dev.toml").read_text().replace("nexus-llm-raw", bucket)
    path = tmp_path / "settings.toml"
    path.write_text(f'{text}\n[ingestion]\nsources_folder = "{sources}"\npart_mib = 5\nmax_batches = 3\n')
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    return Ingestion(load_settings(), path, s3, server, [])


def random_bytes(mebi: float) -> bytes:
    return os.urandom(int(mebi * MEBI) + 7)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
