"""The Amazon provider's own operators and sensors against local_aws, in the order of its system tests."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.ecs import EcsClusterStates
from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.operators.cloud_formation import CloudFormationCreateStackOperator
from airflow.providers.amazon.aws.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
    EcsRunTaskOperator,
)
from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrModifyClusterOperator,
    EmrServerlessCreateApplicationOperator,
    EmrServerlessDeleteApplicationOperator,
    EmrServerlessStartJobOperator,
    EmrServerlessStopApplicationOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerOperator
from airflow.providers.amazon.aws.operators.s3 import (
    S3CopyObjectOperator,
    S3CreateBucketOperator,
    S3CreateObjectOperator,
    S3DeleteBucketOperator,
    S3DeleteBucketTaggingOperator,
    S3DeleteObjectsOperator,
    S3FileTransformOperator,
    S3GetBucketTaggingOperator,
    S3ListOperator,
    S3ListPrefixesOperator,
    S3PutBucketTaggingOperator,
)
from airflow.providers.amazon.aws.sensors.ecs import EcsClusterStateSensor, EcsTaskDefinitionStateSensor
from airflow.providers.amazon.aws.sensors.emr import (
    EmrJobFlowSensor,
    EmrServerlessApplicationSensor,
    EmrServerlessJobSensor,
    EmrStepSensor,
)
from airflow.providers.amazon.aws.sensors.glue import GlueJobSensor
from airflow.providers.amazon.aws.sensors.glue_catalog_partition import GlueCatalogPartitionSensor
from airflow.providers.amazon.aws.sensors.glue_crawler import GlueCrawlerSensor
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor, S3KeysUnchangedSensor
from botocore.exceptions import ClientError

from tests.dags.conftest import ROOT, Task

ROLE = "arn:aws:iam::123456789012:role/example"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nexus-llm-serving:1"
PARQUET = (
    "import pyarrow as pa, pyarrow.parquet as pq, sys; pq.write_table(pa.table({'id': [1]}), sys.argv[1])"
)
RunOperator = Callable[..., Any]


@pytest.fixture
def run(aws: Any, task: Task) -> RunOperator:
    """Make an operator with the arguments and run it: ``run(S3ListOperator, bucket="b")``."""

    def make_and_run(kind: Any, **arguments: Any) -> Any:
        quick = {"poke_interval": 0.1, "timeout": 60} if "Sensor" in kind.__name__ else {}
        return task.run(kind(task_id=kind.__name__, **quick | arguments))

    return make_and_run


@pytest.fixture
def name() -> str:
    return f"example-{uuid.uuid4().hex[:8]}"


def has_bytes(files: list[dict[str, Any]], **_: Any) -> bool:
    return all(file["Size"] > 3 for file in files)


def test_s3(run: RunOperator, name: str) -> None:
    first, second = f"{name}-1", f"{name}-2"
    for bucket in (first, second):
        run(S3CreateBucketOperator, bucket_name=bucket)
    run(S3PutBucketTaggingOperator, bucket_name=first, key="team", value="llm")
    assert run(S3GetBucketTaggingOperator, bucket_name=first) == [{"Key": "team", "Value": "llm"}]
    run(S3DeleteBucketTaggingOperator, bucket_name=first)
    for key in ("a-key", "b-key2", "folder/c"):
        run(S3CreateObjectOperator, s3_bucket=first, s3_key=key, data="some text", replace=True)
    assert run(S3ListPrefixesOperator, bucket=first, prefix="", delimiter="/") == ["folder/"]
    assert run(S3ListOperator, bucket=first, prefix="") == ["a-key", "b-key2", "folder/c"]
    for deferrable in (False, True):
        waits = {"bucket_name": first, "deferrable": deferrable}
        run(S3KeySensor, bucket_key="a-key", **waits)
        run(S3KeySensor, bucket_key=["a-key", "b-key2"], **waits)
        run(S3KeySensor, bucket_key="a-key", check_fn=has_bytes, **waits)
        run(S3KeySensor, bucket_key=".*-key", use_regex=True, **waits)
    copy = {"source_bucket_name": first, "source_bucket_key": "a-key"}
    run(S3CopyObjectOperator, dest_bucket_name=second, dest_bucket_key="copied", **copy)
    transform = {"transform_script": "cp", "replace": True}
    run(
        S3FileTransformOperator,
        source_s3_key=f"s3://{first}/a-key",
        dest_s3_key=f"s3://{second}/copied",
        **transform,
    )
    run(S3KeysUnchangedSensor, bucket_name=second, prefix="", inactivity_period=1)
    run(S3DeleteObjectsOperator, bucket=second, keys="copied")
    assert run(S3ListOperator, bucket=second, prefix="") == []
    for bucket in (first, second):
        run(S3DeleteBucketOperator, bucket_name=bucket, force_delete=True)


def test_emr(run: RunOperator, aws: Any, name: str) -> None:
    emr = aws.client("emr")
    run(S3CreateBucketOperator, bucket_name=name)
    emr.create_security_configuration(Name=name, SecurityConfiguration=json.dumps({"Any": {}}))
    steps = [
        {
            "Name": "calculates",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["sh", "-c", "echo 3.14"]},
        }
    ]
    overrides = {
        "Name": name,
        "ReleaseLabel": "emr-7.12.0",
        "Applications": [{"Name": "Spark"}],
        "Instances": {
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        "Steps": steps,
        "JobFlowRole": "EMR_EC2_DefaultRole",
        "ServiceRole": "EMR_DefaultRole",
        "LogUri": f"s3://{name}/",
        "SecurityConfiguration": name,
    }
    cluster = run(EmrCreateJobFlowOperator, job_flow_overrides=overrides)
    run(EmrModifyClusterOperator, cluster_id=cluster, step_concurrency_level=1)
    (step,) = run(
        EmrAddStepsOperator,
        job_flow_id=cluster,
        steps=steps,
        execution_role_arn=ROLE,
        wait_for_completion=True,
        waiter_delay=1,
    )
    for deferrable in (False, True):
        run(EmrStepSensor, job_flow_id=cluster, step_id=step, deferrable=deferrable)
    assert emr.describe_step(ClusterId=cluster, StepId=step)["Step"]["ExecutionRoleArn"] == ROLE
    run(EmrTerminateJobFlowOperator, job_flow_id=cluster)
    run(EmrJobFlowSensor, job_flow_id=cluster)
    emr.delete_security_configuration(Name=name)
    run(S3DeleteBucketOperator, bucket_name=name, force_delete=True)


def test_emr_serverless(run: RunOperator, name: str) -> None:
    run(S3CreateBucketOperator, bucket_name=name)
    run(S3CreateObjectOperator, s3_bucket=name, s3_key="job.sh", data="echo counted")
    application = run(
        EmrServerlessCreateApplicationOperator,
        release_label="emr-7.10.0",
        job_type="SPARK",
        config={"name": name},
        wait_for_completion=False,
    )
    run(EmrServerlessApplicationSensor, application_id=application)
    job = run(
        EmrServerlessStartJobOperator,
        application_id=application,
        execution_role_arn=ROLE,
        job_driver={"sparkSubmit": {"entryPoint": f"s3://{name}/job.sh"}},
        configuration_overrides={
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": f"s3://{name}/logs"}}
        },
        wait_for_completion=False,
    )
    run(
        EmrServerlessJobSensor,
        application_id=application,
        job_run_id=job,
        target_states={*EmrServerlessHook.JOB_SUCCESS_STATES},
    )
    quick = {"waiter_delay": 1}
    run(EmrServerlessStopApplicationOperator, application_id=application, force_stop=True, **quick)
    run(EmrServerlessDeleteApplicationOperator, application_id=application, **quick)
    keys = run(S3ListOperator, bucket=name, prefix="logs/")
    assert any(key.endswith("SPARK_DRIVER/stdout.gz") for key in keys)
    run(S3DeleteBucketOperator, bucket_name=name, force_delete=True)


def test_ecs(run: RunOperator, aws: Any, name: str) -> None:
    aws.client("ecs").create_cluster(clusterName=f"{name}-existing")
    run(EcsCreateClusterOperator, cluster_name=name, wait_for_completion=False)
    run(EcsClusterStateSensor, cluster_name=name)
    logs = {
        "awslogs-group": f"/ecs/{name}",
        "awslogs-region": "us-east-1",
        "awslogs-create-group": "true",
        "awslogs-stream-prefix": "ecs",
    }
    container = {
        "name": "main",
        "image": IMAGE,
        "entryPoint": ["sh", "-c"],
        "command": ["ls"],
        "logConfiguration": {"logDriver": "awslogs", "options": logs},
    }
    definition = run(
        EcsRegisterTaskDefinitionOperator,
        family=name,
        container_definitions=[container],
        register_task_kwargs={"cpu": "256", "memory": "512", "networkMode": "awsvpc"},
    )
    run(EcsTaskDefinitionStateSensor, task_definition=definition)
    run(
        EcsRunTaskOperator,
        cluster=f"{name}-existing",
        task_definition=definition,
        overrides={"containerOverrides": [{"name": "main", "command": ["echo hello world"]}]},
        network_configuration={"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
        awslogs_group=f"/ecs/{name}",
        awslogs_region="us-east-1",
        awslogs_stream_prefix="ecs/main",
        waiter_delay=1,
    )
    (stream,) = aws.client("logs").describe_log_streams(logGroupName=f"/ecs/{name}")["logStreams"]
    events = aws.client("logs").get_log_events(
        logGroupName=f"/ecs/{name}", logStreamName=stream["logStreamName"]
    )["events"]
    assert [event["message"] for event in events] == ["hello world"]
    run(EcsDeregisterTaskDefinitionOperator, task_definition=definition)
    run(EcsDeleteClusterOperator, cluster_name=name, wait_for_completion=False)
    run(EcsClusterStateSensor, cluster_name=name, target_state=EcsClusterStates.INACTIVE)


def test_glue(run: RunOperator, aws: Any, name: str, tmp_path: Any) -> None:
    aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    run(S3CreateBucketOperator, bucket_name=name)
    python = ROOT / ".venvs/local_aws/bin/python"
    subprocess.run([python, "-c", PARQUET, tmp_path / "part.parquet"], check=True)
    body = (tmp_path / "part.parquet").read_bytes()
    aws.client("s3").put_object(Bucket=name, Key="input/category=mixed/part.parquet", Body=body)
    run(S3CreateObjectOperator, s3_bucket=name, s3_key="etl.sh", data="echo loaded")
    database = name.replace("-", "_")
    crawler = {
        "Name": name,
        "Role": ROLE,
        "DatabaseName": database,
        "Targets": {"S3Targets": [{"Path": f"s3://{name}/input"}]},
    }
    run(GlueCrawlerOperator, config=crawler, wait_for_completion=False)
    run(GlueCrawlerSensor, crawler_name=name)
    partition = {"table_name": "input", "database_name": database, "expression": "category='mixed'"}
    # the deferrable variants need aiobotocore, which MWAA's constraints leave out
    run(GlueCatalogPartitionSensor, **partition)
    job = run(
        GlueJobOperator,
        job_name=name,
        script_location=f"s3://{name}/etl.sh",
        s3_bucket=name,
        iam_role_name=name,
        create_job_kwargs={"GlueVersion": "5.0", "NumberOfWorkers": 2, "WorkerType": "G.1X"},
        wait_for_completion=False,
    )
    run(GlueJobSensor, job_name=name, run_id=job, verbose=True)
    glue = aws.client("glue")
    glue.delete_crawler(Name=name)
    glue.delete_job(JobName=name)
    glue.delete_database(Name=database)
    run(S3DeleteBucketOperator, bucket_name=name, force_delete=True)


def test_a_service_that_is_missing_fails_its_task_with_a_clear_reason(run: RunOperator, name: str) -> None:
    with pytest.raises(ClientError, match=r"local_aws does not implement cloudformation:CreateStack"):
        run(
            CloudFormationCreateStackOperator,
            stack_name=name,
            cloudformation_parameters={"TemplateBody": "{}"},
        )
