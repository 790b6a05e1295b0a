"""Run the jobs of one demo again without Airflow: ``python -m benchmarks.bare_jobs --summary FILE``.

benchmarks.orchestration calls this after a demo in a state folder of its own. The requests of the jobs are
read from local_aws as the operators sent them, and their outputs are removed from a copy of the buckets.
Each job is then submitted as soon as the previous one has ended, with the same spot interruption. Prints a
table and one JSON line with the ratio. The rollout is not repeated: its time counts as orchestration.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from demo.progress import fail
from demo.shards import machine_text
from include.contracts.errors import NexusError
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.object_store.locations import key_of
from local_aws.interruption import INTERRUPTED, interruptible
from local_stack.config import StackConfig
from local_stack.provision import client, object_store
from local_stack.stack import Stack

_POLL_SECONDS = 0.1
#: Objects that jobs read but do not write: code, and the requests written by the DAGs' plans.
_INPUTS = ("artifacts/", "request.json", "training_request.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every job ran again, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="benchmarks.bare_jobs", description=__doc__)
    parser.add_argument("--summary", type=Path, required=True, help="summary.json of the demo in this state")
    summary = json.loads(parser.parse_args(argv).summary.read_bytes())
    try:
        with interruptible():
            _run_again(summary)
    except KeyboardInterrupt:
        fail("interrupted; every process that was started has been stopped")
        return INTERRUPTED
    return 0


def _run_again(summary: dict[str, Any]) -> None:
    if summary["corpus"]["reused"]:
        raise NexusError("the demo reused a corpus, so its Spark jobs did not run", remedy="use a new state")
    config = StackConfig.from_environment()
    with _local_aws(config):
        requests = read_requests(config)
    bare = replace(config, state=config.state.with_name(f"{config.state.name}_bare"))
    shutil.rmtree(bare.state, ignore_errors=True)
    shutil.copytree(config.aws_root, bare.aws_root, ignore=shutil.ignore_patterns(".state"))
    seconds: dict[str, float] = {}
    with _timed(seconds, "text"), TemporaryDirectory() as folder:
        machine_text(config, Path(folder))
    with _local_aws(bare):
        remove_outputs(bare)
        run_all(bare, requests, summary["training"]["interruptions"], seconds)
    _print(seconds, summary["seconds"]["total"])


def read_requests(config: StackConfig) -> dict[str, Any]:
    """Return the demo's cluster, its steps and its SageMaker jobs, as arguments of the create calls."""
    emr, sagemaker = client(config, "emr"), client(config, "sagemaker")
    (cluster,) = emr.list_clusters()["Clusters"]
    steps = reversed(emr.list_steps(ClusterId=cluster["Id"])["Steps"])  # the list is sorted newest first
    (training,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    processing = sagemaker.list_processing_jobs(SortBy="CreationTime", SortOrder="Ascending")
    return {
        "steps": [
            {
                "Name": step["Name"],
                "ActionOnFailure": step["ActionOnFailure"],
                "HadoopJarStep": {"Jar": step["Config"]["Jar"], "Args": step["Config"]["Args"]},
            }
            for step in steps
        ],
        "training": _creatable(
            sagemaker,
            "CreateTrainingJob",
            sagemaker.describe_training_job(**_only(training, "TrainingJobName")),
        ),
        "processing": [
            _creatable(
                sagemaker,
                "CreateProcessingJob",
                sagemaker.describe_processing_job(**_only(job, "ProcessingJobName")),
            )
            for job in processing["ProcessingJobSummaries"]
        ],
    }


def remove_outputs(config: StackConfig) -> None:
    """Delete everything but the raw shards and the inputs of the jobs."""
    store = object_store(config)
    for bucket in store.buckets():
        if bucket.endswith("-raw"):
            continue
        for entry in store.list(S3Uri(bucket, "")):
            key = key_of(entry.uri)
            if not key.startswith(_INPUTS) and not key.endswith(_INPUTS):
                store.delete(entry.uri)


def run_all(
    config: StackConfig, requests: dict[str, Any], interruptions: int, seconds: dict[str, float]
) -> None:
    """Run the jobs and record the ``seconds`` of each, from its request until AWS reports its end."""
    emr, sagemaker, store = client(config, "emr"), client(config, "sagemaker"), object_store(config)
    instances = {"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1}
    roles = {"JobFlowRole": "nexus-llm-emr-nodes", "ServiceRole": "nexus-llm-emr"}
    cluster = emr.run_job_flow(Name="bare", Instances=instances, ReleaseLabel="emr-7.10.0", **roles)[
        "JobFlowId"
    ]
    for step in requests["steps"]:
        with _timed(seconds, step["Name"]):
            (step_id,) = emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step])["StepIds"]
            step_parameters = {"ClusterId": cluster, "StepId": step_id}
            _wait(partial(emr.describe_step, **step_parameters), "COMPLETED", "Step", "Status", "State")
    emr.terminate_job_flows(JobFlowIds=[cluster])
    policy = {"times": interruptions, "after_first_checkpoint": True}
    httpx.post(f"{config.aws_endpoint}/_local/sagemaker/interrupt_policy", json=policy).raise_for_status()
    training = requests["training"]
    with _timed(seconds, name := training["TrainingJobName"]):
        sagemaker.create_training_job(**training)
        _wait(
            partial(sagemaker.describe_training_job, TrainingJobName=name), "Completed", "TrainingJobStatus"
        )
    for request in requests["processing"]:
        renew_hashes(store, request["AppSpecification"]["ContainerArguments"])
        with _timed(seconds, name := request["ProcessingJobName"]):
            sagemaker.create_processing_job(**request)
            describe = partial(sagemaker.describe_processing_job, ProcessingJobName=name)
            _wait(describe, "Completed", "ProcessingJobStatus")


def renew_hashes(store: ObjectStore, arguments: list[str]) -> None:
    """Update the hashes in ``--x URI --x-sha256 HASH``: a rewritten manifest has another time in it."""
    for index, argument in enumerate(arguments):
        if argument.endswith("-sha256"):
            uri = arguments[arguments.index(argument.removesuffix("-sha256")) + 1]
            arguments[index + 1] = store.reference(uri).sha256


def _creatable(sagemaker: Any, operation: str, described: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a description that the create call accepts."""
    members = sagemaker.meta.service_model.operation_model(operation).input_shape.members
    return {name: value for name, value in described.items() if name in members}


def _only(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {name: record[name]}


def _wait(describe: Callable[[], Any], wanted: str, *path: str) -> None:
    """Wait until the value at ``path`` in the description is ``wanted``."""
    while (state := reduce(getitem, path, description := describe())) != wanted:
        if str(state).upper() in ("FAILED", "CANCELLED", "STOPPED"):
            raise NexusError(
                "a job did not succeed when it was run again",
                where=str(description),
                expected=wanted,
                got=str(state),
            )
        time.sleep(_POLL_SECONDS)


@contextmanager
def _timed(seconds: dict[str, float], job: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    task = job.rsplit("-", 2)[0]  # the form is <task>-<digest>-g<generation>
    seconds[task] = round(time.monotonic() - began, 1)
    print(f"{task:<14}{seconds[task]:>8.1f} s", flush=True)


@contextmanager
def _local_aws(config: StackConfig) -> Iterator[None]:
    stack = Stack(config)
    config.state.mkdir(parents=True, exist_ok=True)
    try:
        stack.start_local_aws()
        yield
    finally:
        stack.down(lambda _: None)


def _print(seconds: dict[str, float], demo: float) -> None:
    bare = round(sum(seconds.values()), 1)
    ratio = round(demo / bare, 3)
    print(f"{'jobs alone':<14}{bare:>8.1f} s\n{'whole demo':<14}{demo:>8.1f} s\n{'ratio':<14}{ratio:>8.3f}")
    print(json.dumps({"bare_seconds": bare, "demo_seconds": demo, "ratio": ratio, "seconds": seconds}))


if __name__ == "__main__":
    raise SystemExit(main())
