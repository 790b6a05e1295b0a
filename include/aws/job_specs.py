"""The records by which a plan describes jobs. They are passed to the operators through XCom.

A record holds everything that decides what the job does. Its hash shows whether an existing job was started
for the same request, so a record must not hold values that change between tries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.aws.job_states import JobKind
from include.contracts.manifests import ParentRef
from include.contracts.records import canonical_json, content_hash

#: Seconds that a service may keep a job waiting beyond the limit on its run.
QUEUE_SECONDS = 3 * 3600


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One AWS job.

    ``request`` is the service's request without the job's name. ``scope`` is the application or job
    definition in which jobs are looked up by name. It is empty for SageMaker, and for EMR, whose cluster is
    known later. After ``limit_seconds`` the task stops the job; the service's own limits are shorter.
    """

    kind: JobKind
    request: dict[str, Any]
    limit_seconds: int
    scope: str = ""
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class SparkJobSpec(JobSpec):
    """A Spark job of a corpus version.

    A completed job writes ``marker_uri`` last. It leaves the error that ended it at ``error_uri``, and a page
    for people at ``page_uri`` unless that is empty. ``claim_uri`` says which run may build the version.
    """

    marker_uri: str
    error_uri: str
    page_uri: str = ""
    claim_uri: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingJobSpec(JobSpec):
    """A training run; checkpoints and output of every generation lie below ``run_root``."""

    run_root: str


@dataclass(frozen=True, kw_only=True)
class ProcessingJobSpec(JobSpec):
    """A processing job. It writes ``marker_uri`` last: a report, or the manifest of a model folder.

    ``parent`` is the manifest that the model folder must have been made from. With ``reuse_existing``,
    complete output of an earlier run is taken and no job is started.
    """

    marker_uri: str
    parent: ParentRef | None = None
    reuse_existing: bool = False


def request_hash(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record in its plain form, exactly as it was planned.

    The plain form is hashed, not the dataclass: a release that adds a field changes no hash.
    """
    return content_hash(canonical_json(spec))
