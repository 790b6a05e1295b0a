"""Spot jobs lose their instance and come back; the service's own checkpoint sync; what is billed."""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest

from tests.support.waiting import wait_until

# counts its attempts in the synced checkpoints; the second attempt ends at once
TWO_ATTEMPTS = (
    "import glob, signal, sys, time\n"
    "places = sorted(glob.glob(ML + '/checkpoints/*'))\n"
    "if places:\n    print('resumed from', os.path.basename(places[-1])); sys.exit(0)\n"
    "open(ML + '/checkpoints/first', 'w').write('x')\nprint('ready=1')\n"
    "def gone(*_):\n    open(ML + '/checkpoints/second', 'w').write('x'); sys.exit(1)\n"
    "signal.signal(signal.SIGTERM, gone)\ntime.sleep(60)"
)
READY = {"MetricDefinitions": [{"Name": "ready", "Regex": "ready=([0-9])"}]}


def ready(client: Any, name: str) -> None:
    wait_until(
        lambda: client.describe_training_job(TrainingJobName=name), lambda job: job["FinalMetricDataList"]
    )


def test_an_interrupted_job_restarts_with_what_it_saved_in_its_grace(
    shared_local_aws: Any, sagemaker: Any, s3: Any, request_of: Any, spot: Any, ended: Any, statuses: Any
) -> None:
    checkpoints = {"S3Uri": "s3://jobs/cache/interrupted"}
    request = request_of(
        "interrupted", TWO_ATTEMPTS, CheckpointConfig=checkpoints, AlgorithmSpecification=READY, **spot
    )
    sagemaker.create_training_job(**request)
    ready(sagemaker, "interrupted")
    shared_local_aws.control("sagemaker/interrupt", {"job": "interrupted"})
    job = ended(sagemaker, "interrupted")
    assert statuses(job) == [
        "Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading", "Training",
        "Uploading", "Completed",
    ], job  # fmt: skip
    keys = [
        item["Key"] for item in s3.list_objects_v2(Bucket="jobs", Prefix="cache/interrupted/")["Contents"]
    ]
    assert keys == ["cache/interrupted/first", "cache/interrupted/second"]
    assert job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(
    shared_local_aws: Any, sagemaker: Any, request_of: Any, spot: Any, ended: Any
) -> None:
    code = (
        "import signal, sys, time\n"
        "if os.path.exists(ML + '/checkpoints/first'):\n    sys.exit(0)\n"
        "open(ML + '/checkpoints/first', 'w')\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready=1')\ntime.sleep(60)"
    )
    checkpoints = {"S3Uri": "s3://jobs/cache/deaf"}
    sagemaker.create_training_job(
        **request_of("deaf", code, CheckpointConfig=checkpoints, AlgorithmSpecification=READY, **spot)
    )
    ready(sagemaker, "deaf")
    shared_local_aws.control("sagemaker/interrupt", {"job": "deaf", "grace_seconds": 0.3})
    assert ended(sagemaker, "deaf")["TrainingJobStatus"] == "Completed"


def test_the_policy_interrupts_each_spot_job_once_when_its_checkpoint_is_complete(
    shared_local_aws: Any, sagemaker: Any, s3: Any, request_of: Any, spot: Any, ended: Any, statuses: Any
) -> None:
    code = (
        "import boto3, signal, sys, time\ns3 = boto3.client('s3')\n"
        "found = s3.list_objects_v2(Bucket='jobs', Prefix='runs/policy/').get('KeyCount', 0)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "s3.put_object(Bucket='jobs', Body=b'{}',\n"
        "    Key=f'runs/policy/checkpoints/step_{found}/complete.json')\n"
        "time.sleep(60 if found == 0 else 0.5)"
    )
    shared_local_aws.control("sagemaker/interrupt_policy", {"times": 1, "after_first_checkpoint": True})
    try:
        environment = {"NEXUS_CHECKPOINT_URI": "s3://jobs/runs/policy/checkpoints/"}
        sagemaker.create_training_job(**request_of("policy", code, Environment=environment, **spot))
        job = ended(sagemaker, "policy")
    finally:
        shared_local_aws.control("sagemaker/interrupt_policy", {"times": 0})
    assert statuses(job).count("Interrupted") == 1 and job["TrainingJobStatus"] == "Completed", job


def test_only_running_spot_jobs_can_be_interrupted(
    shared_local_aws: Any, sagemaker: Any, request_of: Any, ended: Any
) -> None:
    sagemaker.create_training_job(**request_of("on-demand", ""))
    for name, words in (("on-demand", "not a spot job"), ("nobody", "no training job")):
        with pytest.raises(urllib.error.HTTPError) as error:
            shared_local_aws.control("sagemaker/interrupt", {"job": name})
        assert words in json.load(error.value)["message"]
    ended(sagemaker, "on-demand")


def test_the_wait_limit_ends_a_spot_job(sagemaker: Any, request_of: Any, spot: Any, ended: Any) -> None:
    limits = {"StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}}
    request = request_of("waits", "import time; time.sleep(60)", **(spot | limits))
    sagemaker.create_training_job(**request)
    job = ended(sagemaker, "waits")
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] in ("MaxWaitTimeExceeded", "MaxRuntimeExceeded")
