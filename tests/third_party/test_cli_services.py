"""The AWS CLI's commands and waiters for the services whose jobs run on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.third_party.conftest import IMAGE, Done, Endpoint

Aws = Callable[..., Done]
ROLE = "arn:aws:iam::123456789012:role/test"


@pytest.fixture
def bucket(aws: Aws) -> str:
    if "cli-jobs" not in aws("s3", "ls").out:
        aws("s3", "mb", "s3://cli-jobs")
    return "cli-jobs"


def test_emr_runs_a_step_and_ends(aws: Aws, bucket: str) -> None:
    step = "Type=CUSTOM_JAR,Name=says,Jar=command-runner.jar,ActionOnFailure=CONTINUE,Args=[sh,-c,echo said]"
    made = aws(
        *("emr", "create-cluster", "--name", "cli", "--release-label", "emr-7.12.0", "--use-default-roles"),
        *("--applications", "Name=Spark", "--instance-type", "m5.xlarge", "--instance-count", "1"),
        *("--log-uri", f"s3://{bucket}/emr/", "--steps", step),
    ).document
    cluster = made["ClusterId"]
    listed = aws("emr", "list-steps", "--cluster-id", cluster).document["Steps"]
    place = ("--cluster-id", cluster, "--step-id", listed[0]["Id"])
    aws("emr", "wait", "step-complete", *place)
    assert aws("emr", "describe-step", *place).document["Step"]["Status"]["State"] == "COMPLETED"
    aws("emr", "terminate-clusters", "--cluster-ids", cluster)
    aws("emr", "wait", "cluster-terminated", "--cluster-id", cluster)
    log = f"s3://{bucket}/emr/{cluster}/steps/{listed[0]['Id']}/"
    assert "stdout.gz" in aws("s3", "ls", log).out


def test_emr_keeps_a_security_configuration(aws: Aws) -> None:
    name = ("--name", "cli-security")
    aws("emr", "create-security-configuration", *name, "--security-configuration", "{}")
    assert aws("emr", "describe-security-configuration", *name).document["SecurityConfiguration"] == "{}"
    aws("emr", "delete-security-configuration", *name)


def test_emr_serverless_runs_a_job(aws: Aws, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("echo served")
    made = aws("emr-serverless", "create-application", "--type", "SPARK", "--release-label", "emr-7.10.0")
    application = ("--application-id", made.document["applicationId"])
    driver = json.dumps({"sparkSubmit": {"entryPoint": str(script)}})
    started = aws(
        *("emr-serverless", "start-job-run", *application, "--execution-role-arn", ROLE),
        *("--job-driver", driver),
    ).document
    run = (*application, "--job-run-id", started["jobRunId"])
    while (state := aws("emr-serverless", "get-job-run", *run).document["jobRun"]["state"]) not in (
        "SUCCESS",
        "FAILED",
    ):
        pass
    assert state == "SUCCESS"
    assert started["jobRunId"] in aws("emr-serverless", "list-job-runs", *application).out


def test_glue_runs_a_job_and_keeps_a_catalogue(aws: Aws, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("exit 0")
    command = f"Name=glueetl,ScriptLocation={script}"
    aws("glue", "create-job", "--name", "cli", "--role", ROLE, "--command", command)
    run = aws("glue", "start-job-run", "--job-name", "cli").document["JobRunId"]
    place = ("--job-name", "cli", "--run-id", run)
    while (state := aws("glue", "get-job-run", *place).document["JobRun"]["JobRunState"]) not in (
        "SUCCEEDED",
        "FAILED",
    ):
        pass
    assert state == "SUCCEEDED"
    aws("glue", "create-database", "--database-input", "Name=cli")
    table = {"Name": "t", "StorageDescriptor": {"Columns": [{"Name": "id", "Type": "string"}]}}
    aws("glue", "create-table", "--database-name", "cli", "--table-input", json.dumps(table))
    found = aws("glue", "get-tables", "--database-name", "cli").document["TableList"]
    assert [entry["Name"] for entry in found] == ["t"]
    aws("glue", "delete-database", "--name", "cli")


def test_sagemaker_trains_and_its_output_is_in_the_logs(aws: Aws, bucket: str) -> None:
    request = {
        "TrainingJobName": "cli-training",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-c", "print('trained')"],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }
    aws("sagemaker", "create-training-job", "--cli-input-json", json.dumps(request))
    name = ("--training-job-name", "cli-training")
    while (found := aws("sagemaker", "describe-training-job", *name).document)["TrainingJobStatus"] in (
        "InProgress",
        "Stopping",
    ):
        pass
    assert found["TrainingJobStatus"] == "Completed", found
    aws("sagemaker", "wait", "training-job-completed-or-stopped", *name)
    group = ("--log-group-name", "/aws/sagemaker/TrainingJobs")
    streams = aws("logs", "describe-log-streams", *group, "--log-stream-name-prefix", "cli-training")
    stream = streams.document["logStreams"][0]["logStreamName"]
    events = aws("logs", "get-log-events", *group, "--log-stream-name", stream).document["events"]
    assert [event["message"] for event in events] == ["trained"]


def test_ecs_rolls_a_service_out(aws: Aws) -> None:
    aws("ecs", "create-cluster", "--cluster-name", "cli")
    containers = [
        {"name": "main", "image": IMAGE, "command": [sys.executable, "-c", "import time; time.sleep(600)"]}
    ]
    family = ("--family", "cli", "--container-definitions", json.dumps(containers))
    aws("ecs", "register-task-definition", *family)
    service = ("--cluster", "cli", "--service-name", "web")
    aws("ecs", "create-service", *service, "--task-definition", "cli", "--desired-count", "1")
    aws("ecs", "wait", "services-stable", "--cluster", "cli", "--services", "web")
    aws("ecs", "register-task-definition", *family)
    update = ("--cluster", "cli", "--service", "web", "--task-definition", "cli:2")
    aws("ecs", "update-service", *update)
    aws("ecs", "wait", "services-stable", "--cluster", "cli", "--services", "web")
    found = aws("ecs", "describe-services", "--cluster", "cli", "--services", "web").document["services"][0]
    assert found["taskDefinition"].endswith("cli:2") and found["runningCount"] == 1
    aws("ecs", "delete-service", "--cluster", "cli", "--service", "web", "--force")
    aws("ecs", "wait", "services-inactive", "--cluster", "cli", "--services", "web")


def test_small_services_keep_what_they_are_given(aws: Aws, endpoint: Endpoint) -> None:
    assert aws("sts", "get-caller-identity").document["Account"] == "123456789012"
    aws("ssm", "put-parameter", "--name", "/cli/a", "--value", "1", "--type", "String")
    assert aws("ssm", "get-parameter", "--name", "/cli/a").document["Parameter"]["Value"] == "1"
    aws("secretsmanager", "create-secret", "--name", "cli", "--secret-string", "hidden")
    secret = aws("secretsmanager", "get-secret-value", "--secret-id", "cli").document
    assert secret["SecretString"] == "hidden"
    topic = aws("sns", "create-topic", "--name", "cli").document["TopicArn"]
    # this CLI sends SQS to a real host unless the endpoint is an option; AWS_ENDPOINT_URL is not enough
    sqs = ("--endpoint-url", endpoint.url, "sqs")
    queue = aws(*sqs, "create-queue", "--queue-name", "cli").document["QueueUrl"]
    assert queue == f"{endpoint.url}/123456789012/cli"
    wanted = ("--queue-url", queue, "--attribute-names", "QueueArn")
    arn = aws(*sqs, "get-queue-attributes", *wanted).document["Attributes"]["QueueArn"]
    aws("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", arn)
    aws("sns", "publish", "--topic-arn", topic, "--message", "hello")
    (message,) = aws(*sqs, "receive-message", "--queue-url", queue).document["Messages"]
    assert json.loads(message["Body"])["Message"] == "hello"
    metric = ("--namespace", "cli", "--metric-name", "m")
    aws("cloudwatch", "put-metric-data", *metric, "--value", "1")
    assert aws("cloudwatch", "list-metrics", "--namespace", "cli").document["Metrics"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("cloudformation", "list-stacks"), "cloudformation:ListStacks"),
        (("lambda", "list-functions"), "lambda:ListFunctions"),
        (("batch", "describe-job-queues"), "batch:DescribeJobQueues"),
        (("ec2", "describe-instances"), "ec2:DescribeInstances"),
        (("stepfunctions", "list-state-machines"), "stepfunctions:ListStateMachines"),
    ],
)
def test_a_service_that_is_missing_is_named_in_one_line(aws: Aws, words: tuple[str, ...], name: str) -> None:
    done = aws(*words, fails=True)
    assert f"does not implement {name}" in done.error
    assert len(done.error.strip().splitlines()) == 1
