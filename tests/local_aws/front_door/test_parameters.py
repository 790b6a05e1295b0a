"""Requests that botocore would not send are refused by the caller's fault, and leave nothing behind."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.front_door.parameters import Parameters

_SCOPE = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/emr-serverless/aws4_request"


def send(server: Any, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, {"Authorization": _SCOPE, "Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


@pytest.fixture
def application(shared_local_aws: Any) -> str:
    request = {"name": "spark", "releaseLabel": "emr-7.10.0", "type": "SPARK"}
    made = shared_local_aws.client("emr-serverless").create_application(**request)
    return str(made["applicationId"])


def test_a_run_without_a_role_is_refused_and_the_listing_goes_on(
    shared_local_aws: Any, application: str
) -> None:
    runs = f"/applications/{application}/jobruns"
    driver = {"sparkSubmit": {"entryPoint": "s3://x/main.py"}}
    body = json.dumps({"clientToken": "t", "jobDriver": driver}).encode()
    status, said = send(shared_local_aws, "POST", runs, body)
    assert (status, said["__type"]) == (400, "ValidationException")
    assert "executionRoleArn" in said["message"]
    assert send(shared_local_aws, "GET", runs) == (200, {"jobRuns": []})


@pytest.mark.parametrize(
    "query",
    [
        *("maxResults=abc", "maxResults=0", "maxResults=-5", "createdAtAfter=yesterday"),
        *("nextToken=x", "nextToken=-5", "nextToken=0", "nextToken=01", "nextToken=%C2%B2"),
    ],
)
def test_a_listing_with_impossible_parameters_is_refused(
    shared_local_aws: Any, application: str, query: str
) -> None:
    status, said = send(shared_local_aws, "GET", f"/applications/{application}/jobruns?{query}")
    assert (status, said["__type"]) == (400, "ValidationException")


@pytest.mark.parametrize("body", [b"[1]", b"3", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_a_body_that_is_no_json_object_is_refused(shared_local_aws: Any, body: bytes) -> None:
    status, said = send(shared_local_aws, "POST", "/applications", body)
    assert (status, said["__type"]) == (400, "SerializationException")


def test_a_token_that_was_given_out_brings_the_next_page(shared_local_aws: Any) -> None:
    client = shared_local_aws.client("emr-serverless")
    request = {"releaseLabel": "emr-7.10.0", "type": "SPARK"}
    made = [client.create_application(name=f"page-{n}", **request)["applicationId"] for n in range(3)]
    pages = client.get_paginator("list_applications").paginate(PaginationConfig={"PageSize": 1})
    listed = [entry["id"] for page in pages for entry in page["applications"]]
    assert set(made) <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "name"),
    [
        ("sagemaker", "list_training_jobs", {"WarmPoolStatusEquals": "Reused"}, "WarmPoolStatusEquals"),
        ("sagemaker", "list_model_packages", {"NameContains": "n"}, "NameContains"),
        ("emr", "list_clusters", {"Marker": "1", "ClusterStates": ["WAITING"]}, ""),
        ("ecs", "list_services", {"schedulingStrategy": "DAEMON"}, "schedulingStrategy"),
        ("ecs", "describe_clusters", {"include": ["TAGS", "STATISTICS"]}, "include STATISTICS"),
        ("elbv2", "describe_load_balancers", {"PageSize": 1}, "PageSize"),
        ("emr-serverless", "list_applications", {"states": ["STARTED"]}, ""),
    ],
)
def test_a_filter_of_a_listing_is_applied_or_refused_by_name(
    shared_local_aws: Any, service: str, operation: str, arguments: dict[str, Any], name: str
) -> None:
    if service == "ecs":
        shared_local_aws.client("ecs").create_cluster(clusterName="default")
    client = shared_local_aws.client(service)
    if not name:
        getattr(client, operation)(**arguments)
        return
    with pytest.raises(client.exceptions.ClientError, match=f"does not implement.*{name}") as error:
        getattr(client, operation)(**arguments)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@given(
    st.dictionaries(st.text(max_size=3), st.sampled_from([0, 1, "", "x", False, True, (), ("x",)])), st.data()
)
def test_the_parameters_that_were_not_looked_at_are_known(
    values: dict[str, Any], data: st.DataObject
) -> None:
    parameters = Parameters(values)
    read = data.draw(st.sets(st.sampled_from(sorted(values)))) if values else set()
    for name in read:
        how = data.draw(st.sampled_from([parameters.get, parameters.__getitem__, parameters.__contains__]))
        how(name)
    assert parameters == values
    assert parameters.unread == sorted(name for name in values if values[name] and name not in read)


STEP = {"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["true"]}}
GROUPS = [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "where"),
    [
        ("emr", "list_clusters", {"ClusterStates": ["WAITING", "ASLEEP"]}, "ClusterStates.2.member"),
        (
            "emr",
            "run_job_flow",
            {
                "Name": "n",
                "Instances": {"InstanceGroups": GROUPS},
                "Steps": [STEP | {"ActionOnFailure": "X"}],
            },
            "Steps.1.member.ActionOnFailure",
        ),
        ("sagemaker", "list_training_jobs", {"StatusEquals": "Sleeping"}, "StatusEquals"),
        ("sagemaker", "list_processing_jobs", {"SortBy": "Colour"}, "SortBy"),
        (
            "emr-serverless",
            "create_application",
            {"releaseLabel": "emr-7.10.0", "type": "SPARK", "architecture": "Z80"},
            "architecture",
        ),
    ],
)
def test_a_value_outside_of_its_enumeration_is_refused(
    shared_local_aws: Any, service: str, operation: str, arguments: dict[str, Any], where: str
) -> None:
    client = shared_local_aws.client(service)
    with pytest.raises(
        client.exceptions.ClientError, match=f"ValidationException.*'{where}'.*enum value set"
    ):
        getattr(client, operation)(**arguments)


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sagemaker", "list_training_jobs", {"MaxResults": 101}),
        ("glue", "list_jobs", {"MaxResults": 1001}),
        ("emr-serverless", "list_applications", {"maxResults": 51}),
    ],
)
def test_a_page_larger_than_aws_allows_is_refused(
    shared_local_aws: Any, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = shared_local_aws.client(service)
    with pytest.raises(client.exceptions.ClientError, match="less than or equal to"):
        getattr(client, operation)(**arguments)
