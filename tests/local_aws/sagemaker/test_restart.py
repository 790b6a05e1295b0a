"""kill -9 of local_aws loses no job: living processes are waited for, dead ones are failed."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any

from local_aws.jobs.processes import JobProcess, Spec, marked
from tests.support.waiting import wait_until

WAITS = (
    "import time\nprint('ready=1')\nwhile not os.path.exists(os.environ['GATE']):\n    time.sleep(0.05)\n"
    "open(ML + '/model/m', 'w').write('done')\nprint('after')"
)
READY = {"MetricDefinitions": [{"Name": "ready", "Regex": "ready=([0-9])"}]}


def begin(server: Any, request: dict[str, Any]) -> Any:
    server.client("s3").create_bucket(Bucket="jobs")
    client = server.client("sagemaker")
    client.create_training_job(**request)
    name = request["TrainingJobName"]
    wait_until(
        lambda: client.describe_training_job(TrainingJobName=name), lambda job: job["FinalMetricDataList"]
    )
    return client


def marker_of(server: Any) -> str:
    """Return what all job processes of a server's root have in their environment."""
    return hashlib.sha256(str(server.root.resolve()).encode()).hexdigest()[:12] + ":"


def test_a_running_job_is_adopted_and_finished_by_the_next_process(
    local_aws_server: Any, request_of: Any, ended: Any, tmp_path: Any
) -> None:
    gate = tmp_path / "gate"
    request = request_of("adopted", WAITS, Environment={"GATE": str(gate)}, AlgorithmSpecification=READY)
    client = begin(local_aws_server, request)
    local_aws_server.kill()
    local_aws_server.start()
    assert client.describe_training_job(TrainingJobName="adopted")["SecondaryStatus"] == "Training"
    gate.touch()
    job = ended(client, "adopted")
    assert job["TrainingJobStatus"] == "Completed", job
    logs = local_aws_server.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    messages = [
        event["message"] for event in logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    ]
    assert messages == ["ready=1", "after"]


def test_a_job_that_ended_while_nobody_looked_keeps_its_result(
    local_aws_server: Any, request_of: Any, ended: Any, tmp_path: Any
) -> None:
    gate = tmp_path / "gate"
    request = request_of("unseen", WAITS, Environment={"GATE": str(gate)}, AlgorithmSpecification=READY)
    client = begin(local_aws_server, request)
    local_aws_server.kill()
    gate.touch()
    wait_until(lambda: list(local_aws_server.root.rglob("exit.json")), bool)
    local_aws_server.start()
    assert ended(client, "unseen")["TrainingJobStatus"] == "Completed"


def test_stopping_local_aws_ends_every_process_and_fails_the_job(
    local_aws_server: Any, request_of: Any, ended: Any, tmp_path: Any
) -> None:
    request = request_of(
        "cut", WAITS, Environment={"GATE": str(tmp_path / "never")}, AlgorithmSpecification=READY
    )
    client = begin(local_aws_server, request)
    marker = marker_of(local_aws_server)
    assert marked(marker)
    local_aws_server.restart()
    job = ended(client, "cut")
    assert job["TrainingJobStatus"] == "Failed" and "stopped while the job ran" in job["FailureReason"]
    assert not marked(marker)


def test_a_process_that_no_row_knows_is_ended_at_the_start(local_aws_server: Any, tmp_path: Any) -> None:
    local_aws_server.kill()
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    marker = marker_of(local_aws_server) + "training-job/lost/1/algo-1"
    JobProcess.start(Spec(argv, {"PATH": os.environ["PATH"]}, str(tmp_path), marker), tmp_path / "p")
    local_aws_server.start()
    assert not marked(marker)


def test_an_interruption_goes_on_after_kill_9_and_is_no_failure(
    local_aws_server: Any, request_of: Any, spot: Any, ended: Any, statuses: Any, tmp_path: Any
) -> None:
    code = (
        "import signal, sys, time\n"
        "if os.path.exists(os.environ['GATE']):\n    sys.exit(0)\n"
        "def gone(*_):\n"
        "    print('ready=2')\n"
        "    while not os.path.exists(os.environ['GATE']):\n        time.sleep(0.05)\n"
        "    sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, gone)\nprint('ready=1')\ntime.sleep(60)"
    )
    gate = tmp_path / "gate"
    request = request_of("twice", code, Environment={"GATE": str(gate)}, AlgorithmSpecification=READY, **spot)
    client = begin(local_aws_server, request)
    local_aws_server.control("sagemaker/interrupt", {"job": "twice", "grace_seconds": 60})
    wait_until(
        lambda: client.describe_training_job(TrainingJobName="twice")["FinalMetricDataList"][0]["Value"],
        lambda value: value == 2,
    )
    local_aws_server.kill()
    gate.touch()
    local_aws_server.start()
    job = ended(client, "twice")
    assert job["TrainingJobStatus"] == "Completed" and statuses(job).count("Interrupted") == 1, job
