"""Finds and stops Spark jobs that outlived their run. A deleted run cannot stop its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from botocore.exceptions import ClientError

from include.aws.clients import client
from include.aws.emr_cluster import living_clusters
from include.aws.engines import Engine
from include.aws.job_states import JobState
from include.aws.jobs import Jobs, jobs_of
from include.contracts.documents import CORPUS_JOBS
from include.contracts.job_names import GENERATION_LIMIT, JobIdentity, RunIdentity
from include.settings import Settings

log = logging.getLogger(__name__)

#: The answers of an account that may not use an engine, or of a region without it.
_NOT_USED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnknownOperationException")


def stop_orphans(settings: Settings, run: RunIdentity) -> list[str]:
    """Request the stop of every Spark job of a run. Return the names of those that may still write.

    Engines that the account may not use have no jobs.
    """
    found: list[str] = []
    for engine in Engine:
        try:
            found += _orphans(settings, engine, run)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_USED:
                raise
            log.info("no jobs of %s: %s", engine.value, error)
    return found


def _orphans(settings: Settings, engine: Engine, run: RunIdentity) -> list[str]:
    """Stop the jobs of a run on one engine. A cluster serves one run, so it ends with all its steps."""
    if engine is Engine.EMR:
        emr = client("emr")
        clusters = living_clusters(emr, run.cluster, or_ending=True)
        if clusters:
            emr.terminate_job_flows(JobFlowIds=clusters)
        return clusters
    names = []
    for job in CORPUS_JOBS:
        jobs = jobs_of(engine.kind, engine.scope(settings, job))
        for name in _unfinished(jobs, run.job(job)):
            jobs.stop(name)
            names.append(name)
    return names


def _unfinished(jobs: Jobs, identity: JobIdentity) -> Iterator[str]:
    """Yield the names of the jobs of a task that have not ended. Generations are numbered without gaps."""
    for generation in range(1, GENERATION_LIMIT + 1):
        name = identity.name(generation)
        state = jobs.describe(name).state
        if state is JobState.ABSENT:
            return
        if state.may_change:
            yield name
