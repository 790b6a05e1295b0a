"""The engines that run the Spark jobs of a corpus: the same scripts, requests and output on each."""

from __future__ import annotations

import enum
from typing import Any

from include.aws.emr import spark_step
from include.aws.emr_serverless import serverless_job
from include.aws.glue import definition_name, glue_job
from include.aws.jobs import JobKind
from include.contracts.storage import S3Uri
from include.settings import Settings


class Engine(enum.StrEnum):
    """What a run of corpus_refresh may choose."""

    EMR = "emr"
    EMR_SERVERLESS = "emr_serverless"
    GLUE = "glue"

    @property
    def kind(self) -> JobKind:
        """The kind of its jobs."""
        return {
            Engine.EMR: JobKind.EMR_STEP,
            Engine.EMR_SERVERLESS: JobKind.EMR_SERVERLESS,
            Engine.GLUE: JobKind.GLUE,
        }[self]

    def request(self, settings: Settings, job: str, code: S3Uri, request: S3Uri) -> dict[str, Any]:
        """What the engine is asked for one Spark job, without its name."""
        if self is Engine.EMR:
            return spark_step(job, code, request, settings.emr.python_archive)
        if self is Engine.EMR_SERVERLESS:
            return serverless_job(settings, job, code, request)
        return glue_job(settings, job, code, request)

    def scope(self, settings: Settings, job: str) -> str:
        """Where jobs are looked for by their names; empty for EMR, where it is the cluster of the run."""
        if self is Engine.EMR_SERVERLESS:
            return settings.emr_serverless.application
        return definition_name(settings, job) if self is Engine.GLUE else ""
