"""Processing jobs and EMR steps by the project's operators, and the provider's own, against local_aws."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerProcessingOperator as ProviderProcessingOperator,
)
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk.exceptions import TaskDeferred
from botocore.stub import Stubber

from include.aws.clients import client
from include.aws.emr_cluster import cluster_request, living_clusters
from include.aws.emr_steps import EmrSteps
from include.aws.job_specs import ProcessingJobSpec, SparkJobSpec
from include.aws.job_states import JobKind
from include.aws.jobs import jobs_of
from include.aws.processing import processing_job
from include.contracts.errors import InputError
from include.contracts.job_names import RunIdentity
from include.contracts.storage import S3Uri
from include.settings import load_settings
from nexus_airflow.errors import JobCancelled, JobFailed
from nexus_airflow.listeners.jobs import end_cluster
from nexus_airflow.operators.end_engine import EndEngineOperator
from nexus_airflow.operators.processing import SageMakerProcessingOperator
from nexus_airflow.operators.spark_job import SparkJobOperator
from nexus_airflow.operators.start_engine import StartEngineOperator
from nexus_airflow.triggers.job import JobTrigger
from tests.dags.conftest import Task, first_event

BUCKET = "nexus-llm-models"
CODE = S3Uri("nexus-llm-processed", "artifacts/0a1b/")
SHA256 = "a" * 64
_PUT = "import boto3, sys; boto3.client('s3').put_object(Bucket=sys.argv[1], Key=sys.argv[2], Body=b'{}')"


@pytest.fixture(scope="module")
def s3(aws: Any) -> Any:
    client = aws.client("s3")
    for bucket in (BUCKET, "nexus-llm-processed"):
        client.create_bucket(Bucket=bucket)
    return client


def put_job(key: str, code: str = _PUT) -> dict[str, Any]:
    """Build a processing job that writes one object."""
    settings = load_settings("dev")
    job = processing_job(settings, settings.images.training, "x", [])
    job["AppSpecification"]["ContainerEntrypoint"] = ["python", "-c", code]
    job["AppSpecification"]["ContainerArguments"] = [BUCKET, key]
    return job


def processing(
    key: str, job: dict[str, Any] | None = None, deferrable: bool = True, **options: Any
) -> SageMakerProcessingOperator:
    spec = ProcessingJobSpec(
        kind=JobKind.PROCESSING,
        request=job or put_job(key),
        limit_seconds=600,
        marker_uri=f"s3://{BUCKET}/{key}",
    )
    return SageMakerProcessingOperator(
        task_id="process", job=replace(spec, **options), deferrable=deferrable, poll_interval_seconds=0.2
    )


class TestProcessing:
    def test_returns_the_reference_of_what_was_written(self, s3: Any, task: Task) -> None:
        output = task.run(processing("a/report.json"))
        assert output["uri"] == f"s3://{BUCKET}/a/report.json"
        assert len(output["sha256"]) == 64
        assert "processing-jobs" in task.xcoms["job_url"]

    def test_retry_of_a_completed_job_starts_no_second_one(self, s3: Any, task: Task) -> None:
        first = task.run(processing("b/report.json"))
        name = task.xcoms["job_name"]
        assert task.run(processing("b/report.json")) == first
        assert task.xcoms["job_name"] == name

    def test_failure_carries_the_services_reason(self, s3: Any, task: Task) -> None:
        job = put_job("c/report.json", "raise SystemExit('error: no such model')")
        with pytest.raises(JobFailed, match=r"the job failed.*no such model"):
            task.run(processing("c/report.json", job))
        # a retry does not ask for the failed name again, which SageMaker would refuse
        task.run(processing("c/report.json"))
        assert task.xcoms["job_name"].endswith("-g2")

    def test_a_job_that_is_gone_is_a_failure_and_not_waited_for(self, s3: Any, task: Task) -> None:
        operator = processing("g/report.json", deferrable=False)
        operator.execute(task.context(operator))
        task.store["job"] = {**task.store["job"], "generation": 9}
        with pytest.raises(JobCancelled, match="no job of this name exists any more"):
            operator.finish(task.context(operator))

    def test_a_clear_whose_trigger_gave_up_looking_starts_no_job_beside_the_one_that_still_stops(
        self, aws: Any, s3: Any, task: Task
    ) -> None:
        operator = processing("h/report.json", put_job("h/report.json", "import time; time.sleep(60)"))
        with pytest.raises(TaskDeferred):
            operator.execute(task.context(operator))
        first, unknown = task.xcoms["job_name"], {"state": "unknown", "reason": "20 polls failed"}
        with pytest.raises(TaskDeferred) as again:
            operator.advance(task.context(operator), unknown)
        assert (again.value.method_name, task.xcoms["job_name"]) == ("advance", first)
        jobs_of(JobKind.PROCESSING).stop(first)
        asyncio.run(first_event(again.value.trigger))
        with pytest.raises(TaskDeferred):
            operator.advance(task.context(operator), unknown)
        assert task.xcoms["job_name"] == first.replace("-g1", "-g2")
        jobs_of(JobKind.PROCESSING).stop(task.xcoms["job_name"])

    def test_completion_without_output_is_a_failure(self, s3: Any, task: Task) -> None:
        with pytest.raises(JobFailed, match="without complete output"):
            task.run(processing("d/report.json", put_job("d/elsewhere.json")))

    def test_output_of_an_earlier_run_is_reused_when_asked(self, s3: Any, task: Task) -> None:
        s3.put_object(Bucket=BUCKET, Key="e/report.json", Body=b"{}")
        output = task.run(processing("e/report.json", reuse_existing=True))
        assert output["uri"].endswith("e/report.json")
        assert "job_name" not in task.xcoms


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


class TestEmr:
    @pytest.fixture(scope="class")
    def cluster(self, s3: Any) -> Any:
        create = StartEngineOperator(task_id="create", engine="emr", code_uri=str(CODE))
        task = Task("cluster")
        cluster_id = task.run(create)
        assert task.run(create) == cluster_id, "a retry takes the cluster that lives"
        yield cluster_id
        task.run(EndEngineOperator(task_id="end", engine="emr"))
        assert living_clusters(client("emr"), RunIdentity("dev", "tests", "cluster").cluster) == []

    def test_the_engine_of_a_run_is_a_cluster_by_the_settings_as_they_are_now(
        self, aws: Any, s3: Any, task: Task, settings_file: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start = StartEngineOperator(task_id="start", engine="emr", code_uri=str(CODE))
        emr = aws.client("emr")

        def subnets(cluster: str) -> list[str]:
            attributes = emr.describe_cluster(ClusterId=cluster)["Cluster"]["Ec2InstanceAttributes"]
            return list(attributes["RequestedEc2SubnetIds"])

        first = task.run(start)
        assert task.run(start) == first  # a retry
        path = Path(os.environ["NEXUS_SETTINGS"])
        corrected = path.with_name("corrected.toml")
        corrected.write_text(path.read_text().replace("subnet-0a1b2c3d", "subnet-corrected"))
        monkeypatch.setenv("NEXUS_SETTINGS", str(corrected))
        second = task.run(start)
        ended = emr.describe_cluster(ClusterId=first)["Cluster"]["Status"]["State"]
        emr.terminate_job_flows(JobFlowIds=[second])
        assert ended in ("TERMINATING", "TERMINATED"), "two clusters of one run would run side by side"
        assert (subnets(first), subnets(second)) == (["subnet-0a1b2c3d"], ["subnet-corrected"])

    @pytest.mark.parametrize("ends", ["the engine", "a retry", "a kill"])
    def test_a_second_cluster_of_a_lost_answer_ends_too(
        self, aws: Any, s3: Any, task: Task, monkeypatch: pytest.MonkeyPatch, ends: str
    ) -> None:
        emr, name = aws.client("emr"), RunIdentity("dev", "tests", task.name).cluster
        request = cluster_request(load_settings("dev"), name, CODE)
        first, second = (emr.run_job_flow(**request)["JobFlowId"] for _ in range(2))
        start = StartEngineOperator(task_id="start", engine="emr", code_uri=str(CODE))
        if ends == "a retry":
            kept = task.run(start)
            assert kept in (first, second) and living_clusters(emr, name) == [kept]
            emr.terminate_job_flows(JobFlowIds=[kept])
        elif ends == "a kill":
            monkeypatch.setattr("nexus_airflow.operators.start_engine.living_clusters", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                task.run(start)
            start.on_kill()
        else:
            task.run(EndEngineOperator(task_id="end", engine="emr"))
        assert living_clusters(emr, name) == []

    def step(self, cluster: str, *command: str) -> SparkJobOperator:
        jar = {"Jar": "command-runner.jar", "Args": list(command)}
        spec = SparkJobSpec(
            kind=JobKind.EMR_STEP,
            request={"Name": "x", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar},
            limit_seconds=600,
            marker_uri=f"s3://{BUCKET}/step/report.json",
            error_uri=f"s3://{BUCKET}/step/error.json",
        )
        return SparkJobOperator(task_id="step", job=spec, scope=cluster, poll_interval_seconds=0.2)

    def test_step_runs_once_however_often_the_task_is_tried(
        self, aws: Any, s3: Any, cluster: str, task: Task
    ) -> None:
        s3.put_object(Bucket=BUCKET, Key="step/report.json", Body=b"{}")
        output = task.run(self.step(cluster, "true"))
        assert task.run(self.step(cluster, "true")) == output
        names = [step["Name"] for step in aws.client("emr").list_steps(ClusterId=cluster)["Steps"]]
        assert names.count(task.xcoms["job_name"]) == 1

    def test_failed_step_is_a_failure_with_its_log(self, s3: Any, cluster: str, task: Task) -> None:
        with pytest.raises(JobFailed, match="the job failed"):
            task.run(self.step(cluster, "false"))

    def test_a_step_is_submitted_once_and_stop_cancels_it(self, aws: Any, s3: Any, cluster: str) -> None:
        steps = jobs_of(JobKind.EMR_STEP, cluster)
        for _ in range(2):  # as after an answer that was lost
            steps.submit("to-stop", self.step(cluster, "sleep", "60").spec.request, SHA256)
        names = [step["Name"] for step in aws.client("emr").list_steps(ClusterId=cluster)["Steps"]]
        assert names.count("to-stop") == 1
        steps.stop("to-stop")
        event = asyncio.run(first_event(JobTrigger("emr_step", "to-stop", cluster, 0.1, time.time() + 60)))
        assert event["state"] in ("stopped", "failed")  # cancelled while it ran, EMR calls it either


@pytest.mark.parametrize(
    ("state", "is_cancelled"), [("PENDING", True), ("RUNNING", True), ("CANCEL_PENDING", False),
                                ("COMPLETED", False), ("FAILED", False)]
)  # fmt: skip
def test_only_a_step_that_is_not_over_is_cancelled(state: str, is_cancelled: bool) -> None:
    emr = boto3.client("emr", region_name="us-east-1")
    with Stubber(emr) as stub:
        stub.add_response("list_steps", {"Steps": [{"Id": "s-1", "Name": "to-stop"}]})
        stub.add_response("describe_step", {"Step": {"Id": "s-1", "Status": {"State": state}}})
        if is_cancelled:
            submitted = {"StepId": "s-1", "Status": "SUBMITTED"}
            stub.add_response("cancel_steps", {"CancelStepsInfoList": [submitted]})
        EmrSteps(emr, "j-1").stop("to-stop")  # another call than these would be an error
        stub.assert_no_pending_responses()


class TestEmrClusterThatIsOver:
    @pytest.fixture
    def cluster(self, aws: Any, s3: Any, task: Task) -> str:
        request = cluster_request(load_settings("dev"), RunIdentity("dev", "tests", task.name).cluster, CODE)
        return str(aws.client("emr").run_job_flow(**request)["JobFlowId"])

    def test_a_step_that_ended_with_it_has_its_reason(self, aws: Any, cluster: str) -> None:
        steps = jobs_of(JobKind.EMR_STEP, cluster)
        steps.submit("ends", TestEmr().step(cluster, "sleep", "60").spec.request, SHA256)
        aws.client("emr").terminate_job_flows(JobFlowIds=[cluster])
        asyncio.run(first_event(JobTrigger("emr_step", "ends", cluster, 0.1, time.time() + 60)))
        reason = steps.describe("ends").reason
        assert f"cluster {cluster} is TERMINAT" in reason
        assert "Terminated by user request" in reason

    def test_a_step_for_it_is_an_error_that_says_what_to_clear(
        self, aws: Any, cluster: str, task: Task
    ) -> None:
        aws.client("emr").terminate_job_flows(JobFlowIds=[cluster])
        with pytest.raises(InputError, match=r"Terminated by user request.*clear start_engine"):
            task.run(TestEmr().step(cluster, "true"))
        assert cluster in task.xcoms["job_url"] and cluster in task.xcoms["job_log_url"]

    def test_every_reason_that_emr_gives_is_told(self) -> None:
        emr = boto3.client("emr", region_name="us-east-1")
        reason = {"Code": "BOOTSTRAP_FAILURE", "Message": "On the master instance, bootstrap action 1 failed"}
        data = [{"instance-id": "i-1"}]
        details = [
            {"ErrorCode": "BOOTSTRAP_FAILURE_1", "ErrorMessage": "non-zero return code", "ErrorData": data}
        ]
        status = {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": reason, "ErrorDetails": details}
        with Stubber(emr) as stub:
            stub.add_response("list_steps", {"Steps": [{"Id": "s-1", "Name": "ends"}]})
            step = {"Id": "s-1", "Status": {"State": "CANCELLED"}}
            stub.add_response("describe_step", {"Step": step})
            stub.add_response("describe_cluster", {"Cluster": {"Status": status}})
            view = EmrSteps(emr, "j-1").describe("ends")
        assert view.reason == (
            "cluster j-1 is TERMINATED_WITH_ERRORS: On the master instance, bootstrap action 1 failed "
            "non-zero return code (i-1)"
        )
        assert view.log_prefix == "j-1/"  # bootstrap actions write next to the steps
        assert "clear start_engine" in view.remedy

    def test_the_cluster_of_a_run_that_timed_out_is_ended(self, aws: Any, cluster: str, task: Task) -> None:
        run = SimpleNamespace(dag_id="tests", run_id=task.name)
        end_cluster(run)
        status = aws.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]
        assert status in ("TERMINATING", "TERMINATED")
        end_cluster(run)  # there is none any more


class TestProviderOperatorsUnmodified:
    def test_cluster_with_a_step_from_start_to_end(self, s3: Any) -> None:
        task = Task("provider")
        request = cluster_request(load_settings("dev"), "provider-cluster", CODE)
        create = EmrCreateJobFlowOperator(
            task_id="create", job_flow_overrides=request, emr_conn_id=None, aws_conn_id=None
        )
        cluster_id = task.run(create)
        step = {
            "Name": "step",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["true"]},
        }
        add = EmrAddStepsOperator(
            task_id="add",
            job_flow_id=cluster_id,
            steps=[step],
            wait_for_completion=True,
            waiter_delay=1,
            aws_conn_id=None,
        )
        assert len(task.run(add)) == 1
        end = EmrTerminateJobFlowOperator(task_id="end", job_flow_id=cluster_id, aws_conn_id=None)
        task.run(end)

    def test_processing_job(self, s3: Any) -> None:
        config = {"ProcessingJobName": "provider-processing", **put_job("provider/report.json")}
        operator = ProviderProcessingOperator(
            task_id="process", config=config, aws_conn_id=None, check_interval=1, wait_for_completion=True
        )
        described = Task("provider").run(operator)["Processing"]
        assert described["ProcessingJobStatus"] == "Completed"

    def test_training_job(self, s3: Any) -> None:
        settings = load_settings("dev")
        config = {
            "TrainingJobName": "provider-training",
            "RoleArn": settings.role_arn(settings.roles.sagemaker),
            "AlgorithmSpecification": {
                "TrainingImage": settings.images.training,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python", "-c", "print('loss=1.0')"],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/provider/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        operator = SageMakerTrainingOperator(
            task_id="train", config=config, aws_conn_id=None, print_log=False, check_interval=1
        )
        described = Task("provider").run(operator)["Training"]
        assert described["TrainingJobStatus"] == "Completed"

    def test_key_sensor(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="there", Body=b"x")
        sensor = S3KeySensor(task_id="wait", bucket_name=BUCKET, bucket_key="there", aws_conn_id=None)
        assert sensor.poke({})
