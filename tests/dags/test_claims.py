"""Claims on corpus versions: one run at a time builds one; only a run that is over loses its claim."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from include.contracts.errors import InputError
from include.contracts.job_names import RunIdentity
from include.contracts.storage import S3Uri
from include.object_store import ConditionFailed, ObjectStore
from include.planning.claims import BuildClaim, claim_version, release_claim
from nexus_airflow.takeover import run_is_over

FIRST, SECOND = (RunIdentity("dev", "corpus_refresh", run) for run in ("scheduled__1", "manual__2"))
SECONDS = 3600


@pytest.fixture
def uri(aws: Any, request: pytest.FixtureRequest) -> S3Uri:
    aws.client("s3").create_bucket(Bucket="nexus-llm-processed")
    return S3Uri("nexus-llm-processed", f"corpus/{request.node.name}/claim.json")


def lives(_: RunIdentity) -> bool:
    return False


def is_over(_: RunIdentity) -> bool:
    return True


def owner(uri: S3Uri) -> RunIdentity:
    return ObjectStore().read_record(BuildClaim, uri).owner


def test_while_a_run_builds_a_version_another_one_is_refused_by_name(uri: S3Uri) -> None:
    claim_version(uri, FIRST, lives, SECONDS)
    with pytest.raises(InputError, match=r"another run builds this corpus version.*scheduled__1.*dev"):
        claim_version(uri, SECOND, lives, SECONDS)
    claim_version(uri, FIRST, lives, SECONDS)  # a retry, or a later job of the same run
    assert owner(uri) == FIRST


def test_a_claim_passes_to_the_next_run_once_its_owner_is_over(uri: S3Uri) -> None:
    claim_version(uri, FIRST, lives, SECONDS)
    claim_version(uri, SECOND, is_over, SECONDS)
    assert owner(uri) == SECOND
    with pytest.raises(InputError, match="manual__2"):
        claim_version(uri, FIRST, lives, SECONDS)  # its failed task was cleared meanwhile


def test_a_claim_ends_with_the_time_limit_of_its_run(uri: S3Uri, monkeypatch: pytest.MonkeyPatch) -> None:
    claim_version(uri, FIRST, lives, SECONDS)
    later = time.time() + SECONDS + 1
    monkeypatch.setattr("include.planning.claims.time.time", lambda: later)
    claim_version(uri, SECOND, lives, SECONDS)
    assert owner(uri) == SECOND


def test_a_released_claim_is_free_and_only_its_owner_releases_it(uri: S3Uri) -> None:
    claim_version(uri, FIRST, lives, SECONDS)
    release_claim(uri, SECOND)
    assert owner(uri) == FIRST
    release_claim(uri, FIRST)
    claim_version(uri, SECOND, lives, SECONDS)
    release_claim(uri, FIRST)
    assert owner(uri) == SECOND


@pytest.mark.parametrize("claimed_before", [False, True])
def test_of_two_runs_that_claim_at_the_same_time_one_wins(uri: S3Uri, claimed_before: bool) -> None:
    if claimed_before:
        claim_version(uri, RunIdentity("dev", "corpus_refresh", "old"), lives, SECONDS)
    rival: Callable[[], None] = lambda: claim_version(uri, FIRST, is_over, SECONDS)  # noqa: E731
    found = ObjectStore.find
    tried: list[Any] = []

    def slow_find(self: ObjectStore, place: Any) -> Any:
        seen = found(self, place)
        if not tried:
            tried.append(place)
            rival()  # between the look and the write
        return seen

    with pytest.MonkeyPatch.context() as patch, pytest.raises((ConditionFailed, InputError)):
        patch.setattr(ObjectStore, "find", slow_find)
        claim_version(uri, SECOND, is_over if claimed_before else lives, SECONDS)
    assert owner(uri) == FIRST


class Ti:
    """A task instance of an Airflow that knows so many living runs."""

    def __init__(self, living: int) -> None:
        self.living = living
        self.asked: list[dict[str, Any]] = []

    def get_dr_count(self, **request: Any) -> int:
        self.asked.append(request)
        return self.living


def test_airflow_says_which_of_its_runs_are_over_and_nothing_about_those_of_others() -> None:
    ti = Ti(living=1)
    assert not run_is_over(ti, FIRST)
    assert ti.asked == [
        {"dag_id": "corpus_refresh", "run_ids": ["scheduled__1"], "states": ["queued", "running"]}
    ]
    assert run_is_over(Ti(living=0), FIRST)
    assert not run_is_over(Ti(living=0), RunIdentity("prod", "corpus_refresh", "scheduled__1"))
