"""A cluster that runs small commands as steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.waiting import wait_until

GROUPS = [
    {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1},
    {"InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 2},
]


@pytest.fixture(scope="module")
def s3(shared_local_aws: Any) -> Any:
    client = shared_local_aws.client("s3")
    client.create_bucket(Bucket="emr")
    return client


@pytest.fixture(scope="module")
def emr(shared_local_aws: Any, s3: Any) -> Any:
    return shared_local_aws.client("emr")


@pytest.fixture(scope="module")
def step() -> Callable[..., dict[str, Any]]:
    def make(name: str, *arguments: str, on_failure: str = "CONTINUE") -> dict[str, Any]:
        jar = {"Jar": "command-runner.jar", "Args": list(arguments)}
        return {"Name": name, "ActionOnFailure": on_failure, "HadoopJarStep": jar}

    return make


@pytest.fixture
def cluster(emr: Any) -> Iterator[Callable[..., str]]:
    started: list[str] = []

    def run(*steps: dict[str, Any], keep: bool = True, **more: Any) -> str:
        instances = {"KeepJobFlowAliveWhenNoSteps": keep, "InstanceGroups": GROUPS}
        request = {"Name": "corpus", "ReleaseLabel": "emr-7.12.0", "LogUri": "s3://emr/logs/", **more}
        answer = emr.run_job_flow(Instances=instances, Steps=list(steps), **request)
        started.append(answer["JobFlowId"])
        return started[-1]

    yield run
    emr.set_termination_protection(JobFlowIds=started, TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=started)


@pytest.fixture(scope="module")
def states(emr: Any) -> Callable[[str], dict[str, str]]:
    """The states of a cluster's steps by name, once all have ended."""

    def wait(cluster: str) -> dict[str, str]:
        steps = wait_until(
            lambda: emr.list_steps(ClusterId=cluster)["Steps"],
            lambda steps: (
                not {s["Status"]["State"] for s in steps} & {"PENDING", "RUNNING", "CANCEL_PENDING"}
            ),
            seconds=120,
        )
        return {s["Name"]: s["Status"]["State"] for s in steps}

    return wait
