"""Claims on corpus versions: one run at a time builds a version.

A version's name is the hash of its inputs, so two runs can plan the same one: backfills, two environments
that share buckets, or a cleared old run. A claim is an object that is only ever written conditionally.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from include.contracts.errors import InputError
from include.contracts.job_names import RunIdentity
from include.contracts.records import canonical_json
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import Settings


@dataclass(frozen=True)
class BuildClaim:
    """The run that builds a version. After ``expires`` (epoch seconds) its last job is over."""

    owner: RunIdentity
    expires: float


def claim_seconds(settings: Settings, job_seconds: int) -> int:
    """Return how long a claim holds. Each job renews it, so it covers one job and the waits before it."""
    return job_seconds + 2 * settings.airflow.capacity_wait_seconds + 24 * 3600


def claim_version(
    uri: S3Uri, owner: RunIdentity, is_over: Callable[[RunIdentity], bool], seconds: int
) -> None:
    """Claim the version for a run, or renew its claim.

    A claim passes to another run only when its owner is over. Raises InputError while another run builds the
    version, and ConditionFailed when two runs take over the same claim at once and this one is second.

    :param is_over: tells whether a run and its jobs have ended; False if that cannot be proven
    :param seconds: how long the claim holds, by ``claim_seconds``
    """
    store = ObjectStore()
    content = canonical_json(BuildClaim(owner, time.time() + seconds))
    found = store.find(uri)
    if found is None:
        store.create(uri, content)
        return
    claim = store.read_record(BuildClaim, uri)
    if claim.owner != owner and claim.expires > time.time() and not is_over(claim.owner):
        raise InputError(
            "another run builds this corpus version",
            where=str(uri),
            expected=f"no claim, or one of run {owner.run_id} of {owner.dag_id} in {owner.environment}",
            got=f"run {claim.owner.run_id} of {claim.owner.dag_id} in environment {claim.owner.environment}; "
            f"its claim ends {datetime.fromtimestamp(claim.expires, UTC):%Y-%m-%d %H:%M} UTC",
            remedy="wait until that run has ended, then clear this task; if the run is gone for good, delete "
            "the claim",
        )
    store.replace(uri, content, found.etag)


def release_claim(uri: S3Uri, owner: RunIdentity) -> None:
    """Give a run's claim up; a claim of another run stays."""
    store = ObjectStore()
    if store.exists(uri) and store.read_record(BuildClaim, uri).owner == owner:
        store.delete(uri)
