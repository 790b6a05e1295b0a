"""Processing jobs: inputs, outputs, messages, failures, stops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.waiting import wait_until

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nexus-llm-training:latest"
ROOT = "import os; ML = os.environ.get('NEXUS_ML_ROOT', '/opt/ml')\n"


def processing_request(name: str, code: str, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python", "-c", ROOT + code]},
        "RoleArn": "arn:aws:iam::123456789012:role/nexus-training",
        **more,
    }


def ended(client: Any, name: str) -> dict[str, Any]:
    return wait_until(
        lambda: client.describe_processing_job(ProcessingJobName=name),
        lambda job: job["ProcessingJobStatus"] not in ("InProgress", "Stopping"),
    )


def test_inputs_come_from_s3_and_outputs_go_there(sagemaker: Any, s3: Any) -> None:
    s3.put_object(Bucket="jobs", Key="model/weights.bin", Body=b"w")
    code = (
        "text = open(ML + '/processing/input/model/weights.bin').read()\n"
        "open(ML + '/processing/output/report/r.json', 'w').write(text + os.environ['LEVEL'])\n"
        "open(ML + '/output/message', 'w').write('all good')"
    )
    request = processing_request(
        "evaluates",
        code,
        Environment={"LEVEL": "1"},
        ProcessingInputs=[
            {
                "InputName": "model",
                "S3Input": {
                    "S3Uri": "s3://jobs/model/",
                    "LocalPath": "/opt/ml/processing/input/model",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "report",
                    "S3Output": {
                        "S3Uri": "s3://jobs/report",
                        "LocalPath": "/opt/ml/processing/output/report",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    )
    sagemaker.create_processing_job(**request)
    job = ended(sagemaker, "evaluates")
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Completed", "all good"), job
    assert s3.get_object(Bucket="jobs", Key="report/r.json")["Body"].read() == b"w1"
    listed = sagemaker.list_processing_jobs(NameContains="evaluates")["ProcessingJobSummaries"]
    assert [summary["ProcessingJobStatus"] for summary in listed] == ["Completed"]


def test_a_failure_carries_the_last_words(sagemaker: Any) -> None:
    sagemaker.create_processing_job(**processing_request("breaks", "raise ValueError('bad shape')"))
    job = ended(sagemaker, "breaks")
    assert job["ProcessingJobStatus"] == "Failed"
    assert "ValueError: bad shape" in job["FailureReason"] and job["FailureReason"].endswith("exit code: 1")


def test_stop_ends_the_job(sagemaker: Any) -> None:
    sagemaker.create_processing_job(**processing_request("stops", "import time; time.sleep(60)"))
    sagemaker.stop_processing_job(ProcessingJobName="stops")
    assert ended(sagemaker, "stops")["ProcessingJobStatus"] == "Stopped"


def test_the_reason_is_from_the_host_that_failed(sagemaker: Any) -> None:
    code = (
        "import json, time\n"
        "host = json.load(open(ML + '/config/resourceconfig.json'))['current_host']\n"
        "print('words of', host, flush=True)\n"
        "time.sleep(60) if host == 'algo-1' else exit(3)"
    )
    request = processing_request("half", code)
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    sagemaker.create_processing_job(**request)
    reason = ended(sagemaker, "half")["FailureReason"]
    assert "words of algo-2" in reason, reason
    assert "algo-1" not in reason
    assert "exit code: 3" in reason


def test_the_runtime_limit_fails_the_job(sagemaker: Any) -> None:
    request = processing_request(
        "slow", "import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    sagemaker.create_processing_job(**request)
    assert "MaxRuntimeInSeconds" in ended(sagemaker, "slow")["FailureReason"]


def test_a_name_can_be_used_once(sagemaker: Any) -> None:
    sagemaker.create_processing_job(**processing_request("twice", ""))
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_processing_job(**processing_request("twice", ""))
    ended(sagemaker, "twice")


def test_a_listing_honours_times_of_change_and_the_order_by_status(sagemaker: Any) -> None:
    for name, code in (("listed-a", ""), ("listed-b", "raise SystemExit(1)")):
        sagemaker.create_processing_job(**processing_request(name, code))
        changed = ended(sagemaker, name)["LastModifiedTime"]

    def names(**filters: Any) -> list[str]:
        found = sagemaker.list_processing_jobs(NameContains="LISTED-", **filters)
        return [job["ProcessingJobName"] for job in found["ProcessingJobSummaries"]]

    second = timedelta(seconds=1)
    assert names(LastModifiedTimeAfter=changed + second) == []
    assert names(LastModifiedTimeBefore=changed + second, SortBy="Status") == ["listed-b", "listed-a"]
    assert names(SortBy="Status", SortOrder="Ascending") == ["listed-a", "listed-b"]
