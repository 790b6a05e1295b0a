"""The jobs of a demo again, without Airflow: what is taken from the first time, and what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bare_jobs import read_requests, remove_outputs, renew_hashes
from local_stack.config import StackConfig
from local_stack.provision import client, object_store
from local_stack.stack import Stack
from tests.support.ports import free_port

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[StackConfig]:
    """A running local_aws with empty buckets, on a port of its own."""
    port = free_port()
    config = StackConfig(REPOSITORY, tmp_path, port, port, port)
    stack = Stack(config)
    stack.start_local_aws()
    s3 = client(config, "s3")
    for bucket in ("llm-raw", "llm-processed"):
        s3.create_bucket(Bucket=bucket)
    yield config
    stack.book.stop_all()


def put(config: StackConfig, bucket: str, key: str, content: bytes = b"x") -> None:
    client(config, "s3").put_object(Bucket=bucket, Key=key, Body=content)


def test_shards_code_and_requests_stay_and_what_jobs_wrote_goes(config: StackConfig) -> None:
    put(config, "llm-raw", "shards/00.jsonl")
    for key in (
        "artifacts/1/jobs.zip",
        "corpus/v1/request.json",
        "corpus/v1/manifest.json",
        "corpus/v1/work/a",
    ):
        put(config, "llm-processed", key)
    remove_outputs(config)
    s3 = client(config, "s3")
    left = [
        entry["Key"]
        for bucket in ("llm-raw", "llm-processed")
        for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]
    ]
    assert left == ["shards/00.jsonl", "artifacts/1/jobs.zip", "corpus/v1/request.json"]


def test_hashes_are_those_of_the_manifests_as_they_are_now(config: StackConfig) -> None:
    put(config, "llm-processed", "m.json", b"new")
    arguments = ["--model", "s3://llm-processed/m.json", "--model-sha256", "0" * 64, "--output", "s3://x/y"]
    renew_hashes(object_store(config), arguments)
    assert arguments[3] == hashlib.sha256(b"new").hexdigest()
    assert arguments[:3] + arguments[4:] == [
        "--model",
        "s3://llm-processed/m.json",
        "--model-sha256",
        "--output",
        "s3://x/y",
    ]


def test_requests_are_read_back_as_the_create_calls_take_them(config: StackConfig) -> None:
    emr, sagemaker = client(config, "emr"), client(config, "sagemaker")
    steps = [_step("first"), _step("second")]
    emr.run_job_flow(
        Name="one",
        Instances={"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1},
        ReleaseLabel="emr-7.10.0",
        JobFlowRole="x",
        ServiceRole="x",
        Steps=steps,
    )
    training = _job("Training", AlgorithmSpecification={"TrainingImage": "x", "TrainingInputMode": "File"})
    training |= {"OutputDataConfig": {"S3OutputPath": "s3://llm-processed/out/"}}
    training |= {"ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}}
    sagemaker.create_training_job(**training)
    resources = {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}}
    processing = _job("Processing", AppSpecification={"ImageUri": "x"}, ProcessingResources=resources)
    sagemaker.create_processing_job(**processing)
    requests = read_requests(config)
    assert [step["Name"] for step in requests["steps"]] == ["first", "second"]
    assert requests["steps"] == steps
    for name, value in training.items():
        assert requests["training"][name] == value
    assert requests["processing"][0]["ProcessingJobName"] == processing["ProcessingJobName"]


def _step(name: str) -> dict[str, Any]:
    jar = {"Jar": "command-runner.jar", "Args": ["true"]}
    return {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}


def _job(kind: str, **members: Any) -> dict[str, Any]:
    role = "arn:aws:iam::123456789012:role/nexus-llm-sagemaker"
    stopping = {"MaxRuntimeInSeconds": 60}
    return {f"{kind}JobName": kind.lower(), "RoleArn": role, "StoppingCondition": stopping} | members
