"""Announcements of source_ingestion: of what, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.errors import InputError
from include.ingest.run import IngestionRequest, fetch_batch, plan_run, summarise
from nexus_airflow.tasks.ingestion import publish
from tests.dags.ingestion.conftest import Ingestion, random_bytes

REQUEST = IngestionRequest("mirror", {}, "*", 0, "", False, False)
NAMES = ("a.jsonl", "b.jsonl", "withdrawn.jsonl")


@pytest.fixture
def mirror(ingestion: Ingestion) -> Ingestion:
    """Three shards, of which the server lists one that it does not have."""
    for name in NAMES[:2]:
        ingestion.server.host(name, random_bytes(0.01))
    ingestion.server.host("list.txt", "\n".join(NAMES).encode())
    ingestion.server.host("SHA256SUMS", b"")
    return ingestion


def run(mirror: Ingestion, name: str, request: IngestionRequest) -> dict[str, str]:
    """Run all tasks up to `publish`; return the manifest's reference."""
    planned, uris = plan_run(mirror.settings, name, request)
    for uri in uris:
        fetch_batch(mirror.settings, name, uri)
    return vars(summarise(mirror.settings, name, vars(planned))[1])


def announced(reference: dict[str, str]) -> int:
    return len(list(publish.function(reference)))


def test_shards_of_a_run_that_could_not_announce_them_are_announced_by_the_next(mirror: Ingestion) -> None:
    """The documented way on: trigger again, with what the server refuses in `exclude`."""
    with pytest.raises(InputError, match="clear the red `fetch` tasks with downstream"):
        announced(run(mirror, "first", REQUEST))
    without = replace(REQUEST, exclude=("withdrawn*",))
    second = run(mirror, "second", without)
    assert announced(second) == 1
    assert announced(second) == 1, "a try that died before its event was sent is made good by the next"
    for again in (without, replace(without, include="a*")):
        with pytest.raises(AirflowSkipException, match="announced before"):
            announced(run(mirror, "third", again))


def test_a_shard_that_was_away_in_between_is_announced_again(mirror: Ingestion) -> None:
    without = replace(REQUEST, exclude=("withdrawn*",))
    assert announced(run(mirror, "first", without)) == 1
    target = mirror.target("a.jsonl")
    mirror.s3.delete_object(Bucket=target.bucket, Key=target.key)
    assert announced(run(mirror, "second", without)) == 1


def test_each_target_prefix_has_its_own_announcements(mirror: Ingestion) -> None:
    without = replace(REQUEST, exclude=("withdrawn*",))
    assert announced(run(mirror, "first", without)) == 1
    elsewhere = run(mirror, "second", replace(without, target_prefix="elsewhere/"))
    assert announced(elsewhere) == 1
    assert mirror.keys("_ingestion/announced/") == [
        "_ingestion/announced/dev/elsewhere/shards.json",
        "_ingestion/announced/dev/mirror/shards.json",
    ]
