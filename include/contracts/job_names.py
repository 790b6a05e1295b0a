"""Identities of runs and jobs, and the names that follow from them.

A name is a pure function of its identity: a retry computes the same name and finds the job again. Every
identity holds the name of the environment, because two Airflow environments of one account give their
scheduled runs the same ids.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_LIMIT = 63  # SageMaker's limit, the tightest of the services used
GENERATION_LIMIT = 9999


@dataclass(frozen=True)
class JobIdentity:
    """The task of a run that a job belongs to; ``task_id`` ends in ``-<index>`` for a mapped task."""

    environment: str
    dag_id: str
    run_id: str
    task_id: str

    @property
    def stem(self) -> str:
        """The part of the name that all generations share: readable first, unique by its digest."""
        suffix = f"-{_digest(self.environment, self.dag_id, self.run_id, self.task_id)[:12]}"
        readable = f"{_slug(self.environment)}-{_slug(self.task_id)}"
        return f"{readable[: _LIMIT - len(suffix) - len(f'-g{GENERATION_LIMIT}')].strip('-')}{suffix}"

    def name(self, generation: int) -> str:
        """Return the job name of this generation, valid in every service that runs jobs.

        Raises ValueError if the generation is out of range.
        """
        if not 1 <= generation <= GENERATION_LIMIT:
            raise ValueError(f"generation must be 1 to {GENERATION_LIMIT}, got {generation}")
        return f"{self.stem}-g{generation}"

    def has_name(self, name: str) -> bool:
        """Return True if ``name`` is the job name of any generation."""
        return re.fullmatch(rf"{re.escape(self.stem)}-g\d+", name) is not None


@dataclass(frozen=True)
class RunIdentity:
    """A DAG run of one Airflow environment."""

    environment: str
    dag_id: str
    run_id: str

    @property
    def name(self) -> str:
        """The name of the run in S3 keys: the same for every try and generation of its tasks."""
        digest = _digest(self.environment, self.dag_id, self.run_id)[:8]
        return f"{_slug(self.run_id)[:40].strip('-')}-{digest}"

    @property
    def cluster(self) -> str:
        """The name of the run's one EMR cluster, however often the run is cleared."""
        return self.job("cluster").name(1)

    def job(self, task_id: str, map_index: int | None = None) -> JobIdentity:
        """Return the identity of the jobs of one task; ``map_index`` is that of a mapped task."""
        task = task_id if map_index in (None, -1) else f"{task_id}-{map_index}"
        return JobIdentity(self.environment, self.dag_id, self.run_id, task)

    def rollout(self, task_id: str) -> str:
        """Return the owner of a rollout.

        All tries and clears of a task are the same owner, because they change the same service.
        """
        return self.job(task_id).stem


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
