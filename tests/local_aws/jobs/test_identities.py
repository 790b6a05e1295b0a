"""Each job has credentials of its own, and the endpoint knows whose they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_aws.jobs.identities import KEY_PREFIX, Identities
from local_aws.resources import ResourceTable
from tests.local_aws.sagemaker.conftest import training_request
from tests.support.waiting import wait_until

INSTANCES = {
    "KeepJobFlowAliveWhenNoSteps": True,
    "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
}
SHOW = (
    "import json, os, sys\n"
    "keys = {n: os.environ[n] for n in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY')}\n"
    "open(sys.argv[1], 'w').write(json.dumps(keys))\n"
)


def keys_of(path: Path) -> dict[str, str]:
    text = wait_until(
        lambda: path.read_text() if path.exists() else "", lambda content: content.endswith("}")
    )
    return dict(json.loads(text))


def client(server: Any, service: str, keys: dict[str, str]) -> Any:
    session = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return session.client(service, endpoint_url=server.endpoint)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def steps(shared_local_aws: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The keys of two steps of one cluster, by the steps' ids."""
    emr, folder = shared_local_aws.client("emr"), tmp_path_factory.mktemp("keys")
    script = folder / "show.py"
    script.write_text(SHOW)
    names = ["first", "second"]
    made = emr.run_job_flow(
        Name="identities",
        Instances=INSTANCES,
        JobFlowRole="nexus-emr-role",
        Steps=[
            {
                "Name": name,
                "HadoopJarStep": {
                    "Jar": "command-runner.jar",
                    "Args": [sys.executable, str(script), str(folder / name)],
                },
            }
            for name in names
        ],
    )
    ids = {step["Name"]: step["Id"] for step in emr.list_steps(ClusterId=made["JobFlowId"])["Steps"]}
    return {ids[name]: keys_of(folder / name) for name in names}


def test_two_jobs_have_different_keys_and_none_is_that_of_an_account(steps: Any) -> None:
    first, second = steps.values()
    assert first["AWS_ACCESS_KEY_ID"] != second["AWS_ACCESS_KEY_ID"]
    assert first["AWS_SECRET_ACCESS_KEY"] != second["AWS_SECRET_ACCESS_KEY"]
    assert {len(keys["AWS_ACCESS_KEY_ID"]) for keys in steps.values()} == {20}
    assert all(keys["AWS_ACCESS_KEY_ID"].startswith(KEY_PREFIX) for keys in steps.values())


def test_a_job_is_a_session_of_its_role_and_everyone_else_is_the_local_user(
    shared_local_aws: Any, steps: Any
) -> None:
    for step, keys in steps.items():
        said = client(shared_local_aws, "sts", keys).get_caller_identity()
        assert said["Arn"] == f"arn:aws:sts::123456789012:assumed-role/nexus-emr-role/{step}"
    local = shared_local_aws.client("sts").get_caller_identity()
    assert local["Arn"] == "arn:aws:iam::123456789012:user/local"


def test_the_page_of_a_job_counts_its_calls(shared_local_aws: Any, steps: Any) -> None:
    import urllib.request

    step, keys = next(iter(steps.items()))
    s3 = client(shared_local_aws, "s3", keys)
    for _ in range(3):
        s3.list_buckets()
    with urllib.request.urlopen(f"{shared_local_aws.endpoint}/_local/ui/jobs/emr/{step}") as answer:
        page = answer.read().decode()
    assert "<td>s3:ListBuckets</td><td>3</td>" in page
    assert keys["AWS_SECRET_ACCESS_KEY"] not in page


@pytest.mark.parametrize(("service", "code"), [("s3", "InvalidAccessKeyId"), ("sts", "InvalidClientTokenId")])
def test_a_key_that_looks_like_a_jobs_and_was_never_issued_is_refused(
    shared_local_aws: Any, service: str, code: str
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": f"{KEY_PREFIX}NEVERISSUED0", "AWS_SECRET_ACCESS_KEY": "x"}
    made = client(shared_local_aws, service, keys)
    with pytest.raises(ClientError, match=code):
        made.list_buckets() if service == "s3" else made.get_caller_identity()


def test_a_training_job_has_keys_of_its_own(local_aws_server: Any) -> None:
    local_aws_server.client("s3").create_bucket(Bucket="jobs")
    sagemaker = local_aws_server.client("sagemaker")
    code = "import os; open(os.path.join(ML, 'model/keys'), 'w').write(os.environ['AWS_ACCESS_KEY_ID'])"
    sagemaker.create_training_job(**training_request("has-keys", code))
    wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName="has-keys")["TrainingJobStatus"],
        lambda status: status == "Completed",
    )
    (written,) = local_aws_server.root.rglob("model/keys")
    assert written.read_text().startswith(KEY_PREFIX)


def test_credentials_survive_a_restart_and_go_with_their_job(tmp_path: Path) -> None:
    table = ResourceTable(tmp_path / "jobs.sqlite")
    first = Identities(table).issue("emr-step", "s-1", "role")
    again = Identities(table)
    assert again.issue("emr-step", "s-1", "role") == first
    again.forget("emr-step", "s-1")
    assert Identities(table).issue("emr-step", "s-1", "role") != first
    table.close()
