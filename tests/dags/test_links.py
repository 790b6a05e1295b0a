"""Addresses of jobs, logs and services: in the AWS console, or where the settings say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from include.aws.job_states import JobKind, JobState, JobView
from include.contracts.errors import SettingsError
from include.settings import load_settings
from include.settings.links import KINDS, LinkSettings
from nexus_airflow.links.aws import CorpusReportLink, job_links, service_link

CONSOLE = "https://us-east-1.console.aws.amazon.com"


@pytest.mark.parametrize(
    ("kind", "prefix", "page"),
    [
        (JobKind.EMR_STEP, "j-1/steps/s-2/", "/s3/buckets/{bucket}?prefix=logs/emr/j-1/steps/s-2/"),
        (
            JobKind.EMR_SERVERLESS,
            "applications/a/jobs/b/",
            "/s3/buckets/{bucket}?prefix=logs/emr-serverless/applications/a/jobs/b/",
        ),
        (JobKind.EMR_SERVERLESS, "", "/s3/buckets/{bucket}?prefix=logs/emr-serverless/"),
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
    settings = load_settings("dev")
    links = job_links(settings, kind, "train-g1", "scope", JobView(JobState.ACTIVE, log_prefix=prefix))
    assert links["job_log_url"] == CONSOLE + page.format(bucket=settings.storage.processed_bucket)


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (JobKind.TRAINING, "/sagemaker/home?region=us-east-1#/jobs/a-g1"),
        (JobKind.PROCESSING, "/sagemaker/home?region=us-east-1#/processing-jobs/a-g1"),
        (JobKind.EMR_STEP, "/emr/home?region=us-east-1#/clusterDetails/j-1"),
        (JobKind.GLUE, "/gluestudio/home?region=us-east-1#/editor/job/j-1/runs"),
    ],
)
def test_by_default_the_links_lead_to_the_console(kind: JobKind, page: str) -> None:
    links = job_links(load_settings("prod"), kind, "a-g1", "j-1", JobView(JobState.ACTIVE, job_id="s-1"))
    assert links["job_url"] == CONSOLE + page


def test_the_settings_say_where_the_links_lead() -> None:
    pages = dict.fromkeys(KINDS, "http://127.0.0.1:1/jobs/{id}?name={name}")
    links = LinkSettings(
        job=pages, log={k: f"{v}&log" for k, v in pages.items()}, service="http://s/{service}"
    )
    settings = replace(load_settings("dev"), links=links)
    view = JobView(JobState.ACTIVE, job_id="s-1/x")
    found = job_links(settings, JobKind.EMR_STEP, "a-g1", "j-1", view) | service_link(settings)
    assert found == {
        "job_url": "http://127.0.0.1:1/jobs/s-1/x?name=a-g1",
        "job_log_url": "http://127.0.0.1:1/jobs/s-1/x?name=a-g1&log",
        "service_url": f"http://s/{settings.serving.service}",
    }


@pytest.mark.parametrize("template", ["pages/{id}", "http://x/{nmae}", "http://x/{", "http://x/{0}"])
def test_a_link_that_cannot_be_filled_is_refused_with_the_settings(template: str) -> None:
    with pytest.raises(SettingsError, match=r"links\.job\.glue.*words of \{region\}"):
        LinkSettings(job={"glue": template})


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
