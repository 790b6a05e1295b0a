"""Addresses of jobs and logs in the AWS console."""

from __future__ import annotations

import pytest

from include.aws.jobs import JobKind
from nexus_airflow.links.aws import job_log_url

REGION, LOGS = "us-east-1", "s3://logs/emr/"
CONSOLE = f"https://{REGION}.console.aws.amazon.com"


@pytest.mark.parametrize(
    ("kind", "prefix", "page"),
    [
        (JobKind.EMR_STEP, "j-1/steps/s-2/", "/s3/buckets/logs?prefix=emr/j-1/steps/s-2/"),
        (
            JobKind.EMR_SERVERLESS,
            "applications/a/jobs/b/",
            "/s3/buckets/logs?prefix=emr/applications/a/jobs/b/",
        ),
        (JobKind.EMR_SERVERLESS, "", "/s3/buckets/logs?prefix=emr/"),
        # Python's errors are in the error stream, which the run's id names
        (
            JobKind.GLUE,
            "jr_1",
            "/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Faws-glue$252Fjobs$252Ferror"
            "$3FlogStreamNameFilter$3Djr_1",
        ),
        (
            JobKind.TRAINING,
            "train-g1",
            "/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/"
            "$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Dtrain-g1",
        ),
    ],
)
def test_a_log_is_found_among_others(kind: JobKind, prefix: str, page: str) -> None:
    assert job_log_url(kind, REGION, LOGS, prefix) == CONSOLE + page
