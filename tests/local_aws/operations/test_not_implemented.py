"""What is not implemented says so by name; what moto only pretends is refused too."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

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
    ],
)
def test_an_operation_that_is_not_implemented_is_a_501_with_its_name(
    shared_local_aws: Any, service: str, method: str, arguments: dict[str, Any], name: str
) -> None:
    client = shared_local_aws.client(service)
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
