"""Training requests that run small Python programs in the training image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.waiting import wait_until

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nexus-llm-training:latest"
ROLE = "arn:aws:iam::123456789012:role/nexus-training"
ML = "import os; ML = os.environ.get('NEXUS_ML_ROOT', '/opt/ml')\n"


def training_request(name: str, code: str, **more: Any) -> dict[str, Any]:
    algorithm = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "-c", ML + code],
        **more.pop("AlgorithmSpecification", {}),
    }
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": algorithm,
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        **more,
    }


SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 600},
}


@pytest.fixture(scope="module")
def request_of() -> Callable[..., dict[str, Any]]:
    return training_request


@pytest.fixture(scope="module")
def spot() -> dict[str, Any]:
    return SPOT


@pytest.fixture(scope="module")
def s3(shared_local_aws: Any) -> Any:
    client = shared_local_aws.client("s3")
    client.create_bucket(Bucket="jobs")
    return client


@pytest.fixture(scope="module")
def sagemaker(shared_local_aws: Any, s3: Any) -> Any:
    return shared_local_aws.client("sagemaker")


@pytest.fixture(scope="module")
def ended() -> Callable[[Any, str], dict[str, Any]]:
    """Wait for a training job's end; returns its description."""

    def wait(client: Any, name: str) -> dict[str, Any]:
        return wait_until(
            lambda: client.describe_training_job(TrainingJobName=name),
            lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
        )

    return wait


@pytest.fixture(scope="module")
def statuses() -> Callable[[dict[str, Any]], list[str]]:
    return lambda job: [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
