"""Training jobs really run: channels, configuration, hosts, outputs, metrics, failures, limits."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.waiting import wait_until


def test_a_job_reads_its_channels_and_leaves_its_model_in_s3(
    sagemaker: Any, s3: Any, request_of: Any, ended: Any, statuses: Any
) -> None:
    s3.put_object(Bucket="jobs", Key="tokens/part/a.bin", Body=b"12345")
    code = (
        "import json\n"
        "data = open(ML + '/input/data/tokens/part/a.bin').read()\n"
        "hyper = json.load(open(ML + '/input/config/hyperparameters.json'))\n"
        "json.dump({'data': data, 'hyper': hyper, 'job': os.environ['TRAINING_JOB_NAME'],\n"
        "  'own': os.environ['OWN'], 'endpoint': os.environ['AWS_ENDPOINT_URL']},\n"
        "  open(ML + '/model/m.json', 'w'))"
    )
    request = request_of(
        "reads-channels",
        code,
        HyperParameters={"lr": "0.1"},
        Environment={"OWN": "yes"},
        InputDataConfig=[
            {
                "ChannelName": "tokens",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/tokens/"}},
            }
        ],
    )
    assert sagemaker.create_training_job(**request)["TrainingJobArn"].endswith("training-job/reads-channels")
    job = ended(sagemaker, "reads-channels")
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"], job
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://jobs/")
    archive = io.BytesIO(s3.get_object(Bucket="jobs", Key=key)["Body"].read())
    with tarfile.open(fileobj=archive) as tar:
        model = json.load(tar.extractfile("m.json"))  # type: ignore[arg-type]
    assert model["data"] == "12345" and model["hyper"] == {"lr": "0.1"}
    assert model["job"] == "reads-channels" and model["own"] == "yes"
    assert model["endpoint"] == sagemaker.meta.endpoint_url
    assert job["Environment"] == {"OWN": "yes"} and job["BillableTimeInSeconds"] >= 1


def test_every_host_is_a_process_with_its_own_opt_ml(
    sagemaker: Any, request_of: Any, ended: Any, shared_local_aws: Any
) -> None:
    code = (
        "import json\nconfig = json.load(open(ML + '/input/config/resourceconfig.json'))\n"
        "path = ML + '/model/seen'\nassert not os.path.exists(path)\nopen(path, 'w').write('x')\n"
        "print('host', config['current_host'], 'of', ','.join(config['hosts']))"
    )
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 3, "VolumeSizeInGB": 10}
    sagemaker.create_training_job(**request_of("three-hosts", code, ResourceConfig=resources))
    assert ended(sagemaker, "three-hosts")["TrainingJobStatus"] == "Completed"
    logs = shared_local_aws.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="three-hosts/")["logStreams"]
    messages = sorted(
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    )
    assert messages == [f"host algo-{n} of algo-1,algo-2,algo-3" for n in (1, 2, 3)]


def test_metric_definitions_become_final_metrics_and_cloudwatch_metrics(
    sagemaker: Any, request_of: Any, ended: Any, shared_local_aws: Any
) -> None:
    definitions = [{"Name": "train:loss", "Regex": r"loss=([0-9.]+)"}]
    code = "print('step 1 loss=3.5')\nprint('step 2 loss=2.25')"
    request = request_of("metrics", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    sagemaker.create_training_job(**request)
    job = ended(sagemaker, "metrics")
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("train:loss", 2.25)]
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == definitions
    found = shared_local_aws.client("cloudwatch").list_metrics(Namespace="/aws/sagemaker/TrainingJobs")
    assert "train:loss" in [metric["MetricName"] for metric in found["Metrics"]]


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("fails-code", "print('the disk is square')\nraise SystemExit(9)", "the disk is square, ExitCode: 9"),
        (
            "fails-file",
            "open(ML + '/output/failure', 'w').write('no data')\nraise SystemExit(1)",
            "no data, ExitCode: 1",
        ),
    ],
)
def test_a_failing_job_says_why(
    sagemaker: Any, request_of: Any, ended: Any, name: str, code: str, reason: str
) -> None:
    sagemaker.create_training_job(**request_of(name, code))
    job = ended(sagemaker, name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == f"AlgorithmError: {reason}"


def test_a_missing_channel_fails_the_job_and_names_it(sagemaker: Any, request_of: Any, ended: Any) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/nothing-here/"}}
    request = request_of("no-channel", "", InputDataConfig=[{"ChannelName": "tokens", "DataSource": source}])
    sagemaker.create_training_job(**request)
    reason = ended(sagemaker, "no-channel")["FailureReason"]
    assert reason.startswith("ClientError: s3://jobs/nothing-here/")


def test_a_key_that_names_a_place_outside_of_its_channel_fails_the_job(
    sagemaker: Any, s3: Any, request_of: Any, ended: Any, shared_local_aws: Any
) -> None:
    s3.put_object(Bucket="jobs", Key="climbs/../../../../escaped", Body=b"x")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/climbs/"}}
    request = request_of("climbs", "", InputDataConfig=[{"ChannelName": "tokens", "DataSource": source}])
    sagemaker.create_training_job(**request)
    job = ended(sagemaker, "climbs")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "ClientError: s3://jobs/climbs/: the key leads outside of the job's folder;"
        " got climbs/../../../../escaped"
    )
    bucket = shared_local_aws.root / "jobs"
    assert all(found.is_relative_to(bucket) for found in shared_local_aws.root.parent.rglob("escaped"))


def test_an_image_that_nothing_stands_for_fails_the_job_by_name(
    sagemaker: Any, request_of: Any, ended: Any
) -> None:
    sagemaker.create_training_job(
        **request_of("no-image", "", AlgorithmSpecification={"TrainingImage": "example.com/other:1"})
    )
    assert "example.com/other:1" in ended(sagemaker, "no-image")["FailureReason"]


def test_stop_sends_sigterm_and_keeps_what_the_job_saved(
    sagemaker: Any, request_of: Any, ended: Any, statuses: Any
) -> None:
    code = (
        "import signal, sys, time\n"
        "def save(*_):\n    open(ML + '/model/saved', 'w').write('x'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\nprint('ready=1')\ntime.sleep(60)"
    )
    definitions = [{"Name": "ready", "Regex": "ready=([0-9])"}]
    sagemaker.create_training_job(
        **request_of("stopped", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    )
    wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName="stopped"),
        lambda job: job["FinalMetricDataList"],
    )
    sagemaker.stop_training_job(TrainingJobName="stopped")
    job = ended(sagemaker, "stopped")
    assert job["TrainingJobStatus"] == "Stopped" and statuses(job)[-2:] == ["Stopping", "Stopped"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("stopped/output/model.tar.gz")
    with pytest.raises(ClientError, match="Stopped"):
        sagemaker.stop_training_job(TrainingJobName="stopped")


def test_the_runtime_limit_stops_the_job(sagemaker: Any, request_of: Any, ended: Any) -> None:
    request = request_of(
        "too-long", "import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    sagemaker.create_training_job(**request)
    job = ended(sagemaker, "too-long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_name_can_be_used_once(sagemaker: Any, request_of: Any, ended: Any) -> None:
    request = request_of("only-once", "")
    sagemaker.create_training_job(**request)
    with pytest.raises(ClientError) as error:
        sagemaker.create_training_job(**request)
    assert error.value.response["Error"]["Code"] == "ResourceInUse"
    ended(sagemaker, "only-once")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 10, "MaxWaitTimeInSeconds": 5},
            },
            "greater than or equal",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 10, "MaxWaitTimeInSeconds": 50}},
            "EnableManagedSpotTraining",
        ),
        ({"TrainingJobName": "under_score"}, "regular expression"),
    ],
)
def test_what_sagemaker_refuses_is_refused(
    sagemaker: Any, request_of: Any, change: Any, message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        sagemaker.create_training_job(**request_of("refused", "", **change))
    with pytest.raises(ClientError, match="not found"):
        sagemaker.describe_training_job(TrainingJobName="refused")


def test_jobs_are_listed_newest_first_by_status_and_in_pages(
    sagemaker: Any, request_of: Any, ended: Any
) -> None:
    for name in ("listed-1", "listed-2", "listed-3"):
        sagemaker.create_training_job(**request_of(name, ""))
        ended(sagemaker, name)
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = sagemaker.list_training_jobs(
            NameContains="listed", StatusEquals="Completed", MaxResults=2, **token
        )
        found += [summary["TrainingJobName"] for summary in page["TrainingJobSummaries"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == ["listed-3", "listed-2", "listed-1"]
