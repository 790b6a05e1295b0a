"""Every request that botocore can send is identified as the service and operation that it was made for."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED, xform_name
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.model import Shape

from local_aws.front_door.call import Protocol
from local_aws.front_door.identify import identify
from local_aws.http.messages import Headers, Request

SERVICES = (
    "batch", "cloudformation", "cloudwatch", "ecs", "elb", "elbv2", "emr", "emr-serverless", "glue", "iam",
    "lambda", "logs", "s3", "s3control", "sagemaker", "secretsmanager", "ses", "sns", "sqs", "ssm",
    "stepfunctions", "sts",
)  # fmt: skip
#: Operations that botocore sends unsigned, to other hosts, or over HTTP/2 only.
NOT_ON_THIS_WIRE = {
    ("s3", "CreateSession"), ("s3", "ListDirectoryBuckets"), ("s3", "WriteGetObjectResponse"),
    ("sts", "AssumeRoleWithSAML"), ("sts", "AssumeRoleWithWebIdentity"),
    ("lambda", "InvokeWithResponseStream"), ("s3control", "CreateBucket"),
    ("s3control", "ListAccessPointsForDirectoryBuckets"),
    *(("s3control", f"{verb}AccessPointScope") for verb in ("Get", "Put", "Delete")),
}  # fmt: skip
#: S3's older names for the same request.
SAME_ON_THE_WIRE = {
    f"{verb}Bucket{what}": f"{verb}Bucket{what}Configuration"
    for verb in ("Get", "Put")
    for what in ("Notification", "Lifecycle")
}


class Captured(Exception):
    """Carries the request that a client was about to send."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        self.request = request


def client(service: str, **config: Any) -> Any:
    def capture(request: AWSPreparedRequest, **_: Any) -> None:
        raise Captured(request)

    made = boto3.Session("AK", "secret", region_name="eu-west-1").client(
        service,  # type: ignore[call-overload]
        endpoint_url="http://127.0.0.1:1",
        config=Config(parameter_validation=False, inject_host_prefix=False, **config),
    )
    made.meta.events.register("before-send", capture)
    return made


def sent(made: Any, operation: str, parameters: dict[str, Any]) -> Request:
    with pytest.raises(Captured) as captured:
        getattr(made, xform_name(operation))(**parameters)
    prepared = captured.value.request
    body = prepared.body or b""
    content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else body.read()
    pairs = [(k, v.decode() if isinstance(v, bytes) else v) for k, v in prepared.headers.items()]
    return Request(
        prepared.method, prepared.url.removeprefix("http://127.0.0.1:1"), Headers(pairs), BytesIO(content)
    )


def smallest(shape: Shape | None, depth: int = 0) -> Any:
    """Make a value with nothing but the members that the model requires."""
    if shape is None or depth > 8:
        return {}
    kind = shape.type_name
    if kind == "structure":
        members: Any = shape
        return {name: smallest(members.members[name], depth + 1) for name in members.required_members}
    simple = {"list": [], "map": {}, "integer": 1, "long": 1, "float": 1.0, "double": 1.0, "boolean": True}
    if kind in simple:
        return simple[kind]
    if kind == "timestamp":
        return 0
    return b"x" if kind == "blob" else (getattr(shape, "enum", None) or ["name"])[0]


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_a_service_is_identified_once_and_rightly(service: str) -> None:
    made = client(service)
    model = made.meta.service_model
    wrong = []
    for operation in model.operation_names:
        if (service, operation) in NOT_ON_THIS_WIRE:
            continue
        parameters = smallest(model.operation_model(operation).input_shape)
        call = identify(sent(made, operation, parameters))
        expected = SAME_ON_THE_WIRE.get(operation, operation) if service == "s3" else operation
        if (call.service, call.operation) != (service, expected):
            wrong.append(f"{operation} -> {call.service}:{call.operation}")
        assert (call.access_key, call.region) == ("AK", "eu-west-1")
    assert not wrong


def test_a_presigned_url_names_its_caller_in_both_versions_of_the_signature() -> None:
    for version in ("s3", "s3v4"):
        url = client("s3", signature_version=version).generate_presigned_url(
            "get_object", {"Bucket": "bucket", "Key": "a b"}
        )
        call = identify(Request("GET", url.removeprefix("http://127.0.0.1:1"), Headers(), BytesIO()))
        assert (call.service, call.operation, call.access_key) == ("s3", "GetObject", "AK")
        assert call.labels == {"Bucket": "bucket", "Key": "a b"}


def test_path_parameters_are_decoded_once() -> None:
    request = sent(client("emr-serverless"), "GetJobRun", {"applicationId": "a/b", "jobRunId": "50%25"})
    assert identify(request).labels == {"applicationId": "a/b", "jobRunId": "50%25"}


def test_a_request_without_a_signature_has_no_service_and_gets_an_xml_error() -> None:
    call = identify(sent(client("s3", signature_version=UNSIGNED), "GetObject", {"Bucket": "b", "Key": "k"}))
    assert (call.service, call.access_key, call.protocol) == ("", "", Protocol.REST_XML)


def test_the_classic_load_balancer_is_not_taken_for_the_newer_one() -> None:
    assert identify(sent(client("elb"), "DescribeLoadBalancers", {})).service == "elb"
    assert identify(sent(client("elbv2"), "DescribeLoadBalancers", {})).service == "elbv2"
