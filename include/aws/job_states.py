"""Kinds, states and descriptions of jobs that are common to all services."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from include.contracts.errors import NexusError

S = TypeVar("S")


class UnknownState(NexusError):
    """Raised for a state that this release does not know."""


class JobKind(enum.StrEnum):
    """The services that run jobs."""

    TRAINING = "training"
    PROCESSING = "processing"
    EMR_STEP = "emr_step"
    EMR_SERVERLESS = "emr_serverless"
    GLUE = "glue"


class JobState(enum.StrEnum):
    """The state of a job."""

    ABSENT = "absent"
    ACTIVE = "active"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    DELETED = "deleted"

    @property
    def may_change(self) -> bool:
        """Return True if the job is running or being stopped."""
        return self in (JobState.ACTIVE, JobState.STOPPING)


class EndedBy(enum.StrEnum):
    """The causes of an end without success, as far as the next step depends on them."""

    ITSELF = "itself"
    #: A limit of the request: its longest run, or its longest wait for spot capacity.
    LIMIT = "limit"
    #: A request to stop or delete the job that did not come from its task.
    PERSON = "person"
    #: The cluster or application that ran it: no job of this name can start there again.
    ENGINE = "engine"
    #: The service had no instances to run it on.
    CAPACITY = "capacity"


@dataclass(frozen=True)
class JobView:
    """A job as its service describes it.

    ``reason`` and ``remedy`` are for the reader; an empty remedy means the general one. ``job_id`` is the
    service's own id, ``request_sha256`` the hash of the record that the job was started for. ``log_prefix``
    tells the job's log from other logs: below the log URI in S3, or by the names of CloudWatch's streams.
    ``raw`` is the service's answer.
    """

    state: JobState
    reason: str = ""
    log_prefix: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    remedy: str = ""
    job_id: str = ""
    request_sha256: str = ""
    ended_by: EndedBy = EndedBy.ITSELF


def known_state(states: Mapping[str, S], state: str, where: str) -> S:
    """Look up the meaning of a service's state. Raises UnknownState, which names it.

    :param where: the service and the kind of object, such as "SageMaker training job"
    """
    try:
        return states[state]
    except KeyError:
        raise UnknownState(
            "the service reports a state that is not known",
            where=where,
            expected=f"one of {', '.join(states)}",
            got=state,
            remedy="look at the job in its console; a newer release of this project may know the state",
        ) from None
