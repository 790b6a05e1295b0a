"""The engines that run the Spark jobs of a corpus. Scripts and output are the same on each."""

from __future__ import annotations

import enum
from typing import Any

from include.aws.emr_serverless import application_name, serverless_job
from include.aws.emr_steps import spark_step
from include.aws.glue import definition_name, glue_job
from include.aws.job_specs import QUEUE_SECONDS, SparkJobSpec
from include.aws.job_states import JobKind
from include.contracts.documents import CORPUS_JOBS, Stage
from include.contracts.storage import CorpusLayout, S3Uri
from include.settings import Settings


class Engine(enum.StrEnum):
    """The engines that a run of corpus_refresh may choose."""

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
        """Build the engine's request of one Spark job, without the job's name."""
        if self is Engine.EMR:
            return spark_step(job, code, request, settings.emr.python_archive)
        if self is Engine.EMR_SERVERLESS:
            return serverless_job(settings, job, code, request)
        return glue_job(settings, job, code, request)

    def scope(self, settings: Settings, job: str) -> str:
        """Return the scope in which a job is looked for; empty for EMR, whose cluster is known later."""
        if self is Engine.EMR_SERVERLESS:
            return application_name(settings)
        return definition_name(settings, job) if self is Engine.GLUE else ""

    def limit_seconds(self, settings: Settings) -> int:
        """Seconds after which the task stops a job. Serverless and Glue have their own, shorter limits."""
        if self is Engine.EMR:
            return settings.emr.step_timeout_minutes * 60
        if self is Engine.EMR_SERVERLESS:
            return settings.emr_serverless.execution_timeout_minutes * 60 + QUEUE_SECONDS
        return settings.glue.timeout_minutes * 60 + QUEUE_SECONDS

    def job(
        self, settings: Settings, job: str, code: S3Uri, layout: CorpusLayout, *, force: bool
    ) -> SparkJobSpec:
        """Build the record of one Spark job of a corpus version, with the code in the folder ``code``."""
        stage = CORPUS_JOBS[job]
        is_last = stage is Stage.TOKENISE
        return SparkJobSpec(
            kind=self.kind,
            request=self.request(settings, job, code, layout.request),
            limit_seconds=self.limit_seconds(settings),
            scope=self.scope(settings, job),
            force=force,
            marker_uri=str(layout.manifest if is_last else layout.stage_report(stage)),
            error_uri=str(layout.error(job)),
            page_uri=str(layout.report) if is_last else "",
            claim_uri=str(layout.claim),
        )
