"""Deterministic names of jobs: run + task + generation.

A retry computes the same name and re-attaches; a clear increases the generation and starts a new job.
"""

from __future__ import annotations

import hashlib
import re

_LIMIT = 63  # SageMaker's limit, the lowest of all services in use


def job_name(dag_id: str, run_id: str, task_id: str, generation: int) -> str:
    """Return a valid SageMaker name: unique by the hash of the full identity, readable by its prefix."""
    if generation < 1:
        raise ValueError(f"generation must be at least 1, got {generation}")
    identity = "\n".join((dag_id, run_id, task_id))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    suffix = f"-{digest}-g{generation}"
    return f"{_slug(task_id)[: _LIMIT - len(suffix)].strip('-')}{suffix}"


def cluster_name(dag_id: str, run_id: str) -> str:
    """Return the name of a run's cluster. A clear does not change it, so a live cluster is reused."""
    return job_name(dag_id, run_id, "cluster", 1)


def rollout_name(dag_id: str, run_id: str, task_id: str) -> str:
    """Return the name of a task's rollout, the same for every try and clear, as there is one service."""
    return job_name(dag_id, run_id, task_id, 1)


def run_name(dag_id: str, run_id: str) -> str:
    """Return the name of a run in S3 keys. It is the same for every try and generation of its tasks."""
    digest = hashlib.sha256(f"{dag_id}\n{run_id}".encode()).hexdigest()[:8]
    return f"{_slug(run_id)[:40].strip('-')}-{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
