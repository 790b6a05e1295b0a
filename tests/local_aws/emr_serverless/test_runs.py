"""Job runs of EMR Serverless: states, logs, idempotent submission, cancelling, time limits, restarts."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from botocore.exceptions import ClientError

LOGS = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://serverless/logs/"}}}


@pytest.fixture(scope="module")
def s3(quick_local_aws: Any) -> Any:
    client = quick_local_aws.client("s3")
    client.create_bucket(Bucket="serverless")
    return client


@pytest.fixture
def application(jobs: Any) -> str:
    return str(jobs.application())


def test_a_run_succeeds_and_its_driver_logs_lie_where_the_service_puts_them(
    jobs: Any, s3: Any, application: str
) -> None:
    script = 'echo "out $1 $2"; echo err >&2'
    run = jobs.submit(
        application, script, "--request", "s3://x/y", configurationOverrides=LOGS, name="clean-g1"
    )
    found = jobs.until(application, run, "SUCCESS", "FAILED")
    assert (found["state"], found["name"]) == ("SUCCESS", "clean-g1")
    assert found["startedAt"] <= found["endedAt"]
    folder = f"logs/applications/{application}/jobs/{run}/SPARK_DRIVER"
    texts = {
        part: gzip.decompress(s3.get_object(Bucket="serverless", Key=f"{folder}/{part}.gz")["Body"].read())
        for part in ("stdout", "stderr")
    }
    assert texts["stdout"] == b"out --request s3://x/y\n"
    assert texts["stderr"].endswith(b"err\n")


def test_properties_reach_spark_submit_and_a_packed_environment_gives_way(
    jobs: Any, s3: Any, application: str
) -> None:
    overrides = LOGS | {
        "applicationConfiguration": [{"classification": "spark-defaults", "properties": {"spark.x": "1 2"}}]
    }
    parameters = "--py-files s3://c/a.zip --conf spark.archives=s3://c/e.tar.gz#environment"
    run = jobs.submit(application, "true", configurationOverrides=overrides, parameters=parameters)
    jobs.until(application, run, "SUCCESS")
    key = f"logs/applications/{application}/jobs/{run}/SPARK_DRIVER/stderr.gz"
    command = gzip.decompress(s3.get_object(Bucket="serverless", Key=key)["Body"].read()).decode()
    assert "--conf spark.x=1 2" in command and "--py-files s3://c/a.zip" in command
    assert "--master local[" in command and "archives" not in command


def test_a_failure_carries_the_last_words_of_the_driver(jobs: Any, application: str) -> None:
    run = jobs.submit(application, f"echo {'x' * 400} >&2; echo KeyError: text >&2; exit 3")
    details = jobs.until(application, run, "FAILED")["stateDetails"]
    assert "code 3" in details and details.endswith("KeyError: text") and len(details) <= 256


def test_the_same_client_token_starts_one_run(jobs: Any, application: str) -> None:
    first = jobs.submit(application, "true", clientToken="clean-0a1b-g1")
    assert jobs.submit(application, "true", clientToken="clean-0a1b-g1") == first
    listed = jobs.client.list_job_runs(applicationId=application)["jobRuns"]
    assert [run["id"] for run in listed] == [first]
    with pytest.raises(ClientError, match="ConflictException"):
        jobs.submit(application, "false", clientToken="clean-0a1b-g1")


def test_a_run_is_cancelled_once(jobs: Any, application: str) -> None:
    run = jobs.submit(application, "sleep 60")
    jobs.until(application, run, "RUNNING")
    jobs.client.cancel_job_run(applicationId=application, jobRunId=run)
    jobs.until(application, run, "CANCELLED")
    with pytest.raises(ClientError, match="CANCELLED"):
        jobs.client.cancel_job_run(applicationId=application, jobRunId=run)


def test_a_run_that_outlasts_its_limit_is_cancelled(
    local_aws_server: Any, jobs_on: Any, quick_spark: Any
) -> None:
    local_aws_server.options = ("--images", str(quick_spark))
    local_aws_server.restart()
    jobs = jobs_on(local_aws_server)
    application = jobs.application()
    run = jobs.submit(application, "sleep 60", executionTimeoutMinutes=30)
    jobs.until(application, run, "RUNNING")
    local_aws_server.control("clock", {"advance_seconds": 1700})
    assert jobs.run(application, run)["state"] == "RUNNING"
    local_aws_server.control("clock", {"advance_seconds": 200})
    assert "limit of 1800 s" in jobs.until(application, run, "CANCELLED")["stateDetails"]


def test_runs_are_listed_newest_first_by_state(jobs: Any, application: str) -> None:
    names = [jobs.submit(application, script, name=script) for script in ("true", "false")]
    for name in names:
        jobs.until(application, name, "SUCCESS", "FAILED")
    listed = jobs.client.list_job_runs(applicationId=application)["jobRuns"]
    assert [run["name"] for run in listed] == ["false", "true"]
    failed = jobs.client.list_job_runs(applicationId=application, states=["FAILED"])["jobRuns"]
    assert [run["id"] for run in failed] == names[1:]
    later = listed[0]["createdAt"].replace(year=2099)
    assert jobs.client.list_job_runs(applicationId=application, createdAtAfter=later)["jobRuns"] == []


def test_unknown_runs_and_applications_are_not_found(jobs: Any, application: str) -> None:
    for known in (application, "00nothere"):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            jobs.client.get_job_run(applicationId=known, jobRunId="00nothere")


def test_runs_survive_kill_9_and_are_failed_by_an_orderly_end(
    local_aws_server: Any, jobs_on: Any, quick_spark: Any, tmp_path: Any
) -> None:
    local_aws_server.options = ("--images", str(quick_spark))
    local_aws_server.restart()
    jobs = jobs_on(local_aws_server)
    application = jobs.application()
    go = tmp_path / "go"
    kept = jobs.submit(application, f"while [ ! -e {go} ]; do sleep 0.1; done")
    jobs.until(application, kept, "RUNNING")
    local_aws_server.kill()
    local_aws_server.start()
    go.touch()
    jobs.until(application, kept, "SUCCESS")
    cut = jobs.submit(application, "sleep 60")
    jobs.until(application, cut, "RUNNING")
    local_aws_server.restart()
    found = jobs.run(application, cut)
    assert (found["state"], found["stateDetails"]) == ("FAILED", "local_aws was stopped while the job ran")


def test_a_fault_of_the_control_api_hits_a_call_to_the_service(local_aws_server: Any, jobs_on: Any) -> None:
    jobs = jobs_on(local_aws_server)
    application = jobs.application()
    fault = {"service": "emr-serverless", "operation": "StartJobRun", "status": 503, "code": "Unavailable"}
    local_aws_server.control("fail", fault)
    with pytest.raises(ClientError, match="Unavailable"):
        jobs.submit(application, "true")
    assert jobs.client.list_job_runs(applicationId=application)["jobRuns"] == []


@pytest.mark.parametrize("more", [{"retryPolicy": {"maxAttempts": 2}}, {"mode": "STREAMING"}])
def test_what_a_run_would_not_do_is_refused(jobs: Any, application: str, more: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="NotImplemented"):
        jobs.submit(application, "true", **more)
    assert jobs.client.list_job_runs(applicationId=application)["jobRuns"] == []


def test_runs_are_listed_by_mode(jobs: Any, application: str) -> None:
    run = jobs.submit(application, "true", retryPolicy={"maxAttempts": 1})
    listed = {
        mode: [
            entry["id"]
            for entry in jobs.client.list_job_runs(applicationId=application, mode=mode)["jobRuns"]
        ]
        for mode in ("BATCH", "STREAMING")
    }
    assert listed == {"BATCH": [run], "STREAMING": []}
