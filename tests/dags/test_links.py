"""Addresses of jobs and logs in the AWS console."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import httpx
import pytest

from include.aws.jobs import JobKind
from nexus_airflow.links.aws import CorpusReportLink, job_log_url

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


def test_the_report_of_a_corpus_opens_by_an_address_that_needs_no_credentials(aws: Any) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="nexus-llm-processed")
    page = {"Body": b"<html>funnel</html>", "ContentType": "text/html; charset=utf-8"}
    s3.put_object(Bucket="nexus-llm-processed", Key="corpus/v/report.html", **page)
    stored = "s3://nexus-llm-processed/corpus/v/report.html"
    with patch("airflow.sdk.execution_time.xcom.XCom.get_value", return_value=stored) as asked:
        url = CorpusReportLink().get_link(None, ti_key="of the task")
    asked.assert_called_once_with(key="report_uri", ti_key="of the task")
    answer = httpx.get(url)
    assert (answer.text, answer.headers["content-type"]) == ("<html>funnel</html>", page["ContentType"])


def test_a_task_without_a_report_has_no_link() -> None:
    with patch("airflow.sdk.execution_time.xcom.XCom.get_value", return_value=None):
        assert CorpusReportLink().get_link(None, ti_key="of the task") == ""
