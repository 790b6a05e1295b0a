"""Operations that are not implemented, or that moto only pretends, are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.front_door.parameters import service_model
from local_aws.moto_services.allowed import ALLOWED
from tests.local_aws.operations import table

_DEPLOYMENT = "arn:aws:ecs:us-east-1:123456789012:service-deployment/c/s/d"


@pytest.mark.parametrize(
    ("service", "method", "arguments", "name"),
    [
        ("sagemaker", "list_endpoints", {}, "sagemaker:ListEndpoints"),
        ("emr", "list_studios", {}, "emr:ListStudios"),
        ("ecs", "list_container_instances", {"cluster": "c"}, "ecs:ListContainerInstances"),
        (
            "ecs",
            "continue_service_deployment",
            {"serviceDeploymentArn": _DEPLOYMENT, "hookId": "h"},
            "ecs:ContinueServiceDeployment",
        ),
        ("batch", "submit_job", {"jobName": "j", "jobQueue": "q", "jobDefinition": "d"}, "batch:SubmitJob"),
        ("logs", "list_anomalies", {}, "logs:ListAnomalies"),
        ("cur", "describe_report_definitions", {}, "cur:DescribeReportDefinitions"),
        (
            "cloudformation",
            "create_stack",
            {"StackName": "s", "TemplateBody": "{}"},
            "cloudformation:CreateStack",
        ),
        ("cloudformation", "describe_stacks", {}, "cloudformation:DescribeStacks"),
        ("batch", "describe_job_queues", {}, "batch:DescribeJobQueues"),
        ("lambda", "list_functions", {}, "lambda:ListFunctions"),
        ("stepfunctions", "list_state_machines", {}, "stepfunctions:ListStateMachines"),
        ("athena", "start_query_execution", {"QueryString": "SELECT 1"}, "athena:StartQueryExecution"),
        ("dynamodb", "list_tables", {}, "dynamodb:ListTables"),
        ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}, "ec2:RunInstances"),
        ("elb", "describe_load_balancers", {}, "elb:DescribeLoadBalancers"),
        ("rds", "describe_db_instances", {}, "rds:DescribeDBInstances"),
        ("events", "put_events", {"Entries": []}, "events:PutEvents"),
        (
            "cloudwatch",
            "put_composite_alarm",
            {"AlarmName": "a", "AlarmRule": "TRUE"},
            "cloudwatch:PutCompositeAlarm",
        ),
        ("logs", "start_query", {"startTime": 1, "endTime": 2, "queryString": "f"}, "logs:StartQuery"),
        ("glue", "create_trigger", {"Name": "t", "Type": "ON_DEMAND", "Actions": []}, "glue:CreateTrigger"),
        ("ssm", "send_command", {"DocumentName": "AWS-RunShellScript"}, "ssm:SendCommand"),
        ("secretsmanager", "rotate_secret", {"SecretId": "s"}, "secretsmanager:RotateSecret"),
        (
            "s3",
            "put_bucket_lifecycle_configuration",
            {"Bucket": "bucket"},
            "s3:PutBucketLifecycleConfiguration",
        ),
    ],
)
def test_an_operation_that_is_not_implemented_is_a_501_with_its_name(
    shared_local_aws: Any, service: str, method: str, arguments: dict[str, Any], name: str
) -> None:
    client = shared_local_aws.client(service, parameter_validation=False)
    with pytest.raises(ClientError) as error:
        getattr(client, method)(**arguments)
    answer = error.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert name in answer["Error"]["Message"]


def test_services_without_executors_are_answered_by_moto(shared_local_aws: Any) -> None:
    assert shared_local_aws.client("sts").get_caller_identity()["Account"] == "123456789012"
    iam = shared_local_aws.client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    assert iam.get_role(RoleName="r")["Role"]["Arn"] == "arn:aws:iam::123456789012:role/r"


def test_a_request_without_a_signature_is_refused(shared_local_aws: Any) -> None:
    anonymous = boto3.client(
        "s3", endpoint_url=shared_local_aws.endpoint, config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(ClientError, match=r"AccessDenied.*not signed"):
        anonymous.list_objects_v2(Bucket="bucket")


def test_moto_may_answer_only_operations_that_botocore_knows_and_no_executor_has(tmp_path: Path) -> None:
    executed = table.executed(tmp_path)
    for service, operations in ALLOWED.items():
        assert operations <= set(service_model(service).operation_names), service
        assert not {(service, name) for name in operations} & executed
