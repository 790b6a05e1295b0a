"""Answers that would end a whole batch: each is the outcome of its shard, and the others go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.contracts.ingestion import BatchReport, ShardState
from include.ingest import fetch
from include.ingest.errors import SourceRefused
from include.ingest.ranges import Validator
from include.ingest.run import abort_stale
from include.ingest.source_client import SourceClient
from include.ingest.staging import StagedUpload
from include.object_store import StorageRefused, StorageUnavailable
from include.recipes.source import Politeness
from tests.dags.ingestion.conftest import MEBI, Ingestion, random_bytes
from tests.dags.ingestion.hostile_server import Trick


def leads_to(location: str) -> Trick:
    return Trick(status=302, headers={"Location": location})


@pytest.mark.parametrize(
    ("trick", "state"),
    [
        (leads_to("http://a..b/"), ShardState.REFUSED),
        (leads_to(f"http://{'x' * 300}/"), ShardState.REFUSED),
        (leads_to("http://xn--a/"), ShardState.REFUSED),
        (leads_to("http://[x/"), None),
        (leads_to("http://h:99999999/"), None),
        (Trick(status=503, headers={"Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}), None),
        (Trick(headers={"Last-Modified": "x" * 3000}), ShardState.FETCHED),
        (Trick(headers={"Last-Modified": "\x9b2J"}), ShardState.FETCHED),
    ],
)
def test_one_hostile_answer_does_not_end_the_batch(
    ingestion: Ingestion, trick: Trick, state: ShardState | None
) -> None:
    ingestion.server.host("hostile", b"x", always=trick)
    ingestion.server.host("good", b"good")
    outcome, other = ingestion.fetch(ingestion.shard("hostile"), ingestion.shard("good")).outcomes
    assert other.state is ShardState.FETCHED
    assert outcome.state is state if state else not outcome.state.is_good
    assert ingestion.keys("_ingestion/runs/run/reports/")


def test_a_version_too_long_for_metadata_is_none(ingestion: Ingestion) -> None:
    ingestion.server.host("a", random_bytes(6), etag=f'"{"v" * 3000}"')
    assert ingestion.fetch_one(ingestion.shard("a")).state is ShardState.FETCHED


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (StorageRefused("S3 refused the request", got="MetadataTooLarge"), ShardState.UNAVAILABLE),
        (OverflowError("of a kind\x1b[2J that nobody foresaw"), ShardState.REFUSED),
    ],
)
def test_what_nobody_foresaw_is_the_outcome_of_its_shard(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, error: Exception, state: ShardState
) -> None:
    def publish(store: Any, staged: Any, target: Any, *rest: Any) -> None:
        if target.key.endswith("bad"):
            raise error
        original(store, staged, target, *rest)

    original = fetch.publish  # type: ignore[attr-defined]
    monkeypatch.setattr(fetch, "publish", publish)
    for name in ("bad", "good"):
        ingestion.server.host(name, b"x")
    report: BatchReport = ingestion.fetch(ingestion.shard("bad"), ingestion.shard("good"))
    assert [outcome.state for outcome in report.outcomes] == [state, ShardState.FETCHED]
    assert str(error)[:9] in report.outcomes[0].reason
    assert report.outcomes[0].reason.isprintable()


def test_a_plan_goes_on_after_an_upload_that_cannot_be_looked_into(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        ingestion.server.host(name, b"new", etag='"v2"')
        upload = StagedUpload(ingestion.store, ingestion.target(name), ingestion.server.url(name), 5 * MEBI)
        upload.adopt(Validator('"v1"'))
        upload.write(random_bytes(6))
    discard = StagedUpload.discard

    def fails(upload: StagedUpload) -> None:
        if upload.target.key.endswith("a"):
            raise StorageUnavailable("S3 is overloaded")
        discard(upload)

    monkeypatch.setattr(StagedUpload, "discard", fails)
    shards = [ingestion.shard(name) for name in ("a", "b")]
    with SourceClient(replace(Politeness(), max_attempts=1)) as client:
        assert abort_stale(client, replace(ingestion.target("a"), key="mirror/"), shards) == 1


@pytest.mark.parametrize("announced", [99_999_999_999_999_999, 5 << 40])
def test_an_announced_size_is_refused_before_it_becomes_memory(ingestion: Ingestion, announced: int) -> None:
    ingestion.server.host("a", b"x", always=Trick(announce=announced))
    outcome = ingestion.fetch_one(ingestion.shard("a"))
    assert outcome.state is ShardState.REFUSED and "fits into one object" in outcome.reason
    assert len(ingestion.server.requests("a")) == 1


def test_the_parts_of_the_largest_shard_have_512_mib(ingestion: Ingestion) -> None:
    upload = StagedUpload(ingestion.store, ingestion.target("a"), ingestion.server.url("a"), 5 * MEBI)
    upload.adopt(Validator(size_bytes=10_000 * 512 * MEBI))
    assert upload._part_bytes == 512 * MEBI
    with pytest.raises(SourceRefused):
        upload.adopt(Validator(size_bytes=10_000 * 512 * MEBI + 1))
