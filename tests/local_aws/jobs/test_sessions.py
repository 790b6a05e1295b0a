"""Sessions of STS AssumeRole: their credentials name the role, until they expire."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/team/reader"


def client(server: Any, service: str, credentials: dict[str, Any]) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def test_the_credentials_of_a_session_identify_it_even_after_a_restart(local_aws_server: Any) -> None:
    sts = local_aws_server.client("sts")
    made = [sts.assume_role(RoleArn=ROLE, RoleSessionName=name) for name in ("one", "two")]
    local_aws_server.restart()
    for session, name in zip(made, ("one", "two"), strict=True):
        arn = f"arn:aws:sts::123456789012:assumed-role/reader/{name}"
        found = client(local_aws_server, "sts", session["Credentials"]).get_caller_identity()
        assert session["AssumedRoleUser"]["Arn"] == found["Arn"] == arn
        assert session["AssumedRoleUser"]["AssumedRoleId"] == found["UserId"]


def test_a_session_expires_by_the_clock_and_an_unknown_key_is_refused(local_aws_server: Any) -> None:
    sts = local_aws_server.client("sts")
    request = {"RoleArn": ROLE, "RoleSessionName": "short", "DurationSeconds": 900}
    keys = sts.assume_role(**request)["Credentials"]
    s3 = client(local_aws_server, "s3", keys)
    s3.list_buckets()
    local_aws_server.control("clock", {"advance_seconds": 901})
    with pytest.raises(ClientError, match="ExpiredToken"):
        s3.list_buckets()
    unknown = keys | {"AccessKeyId": "LOCALSTSUNKNOWN"}
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client(local_aws_server, "sts", unknown).get_caller_identity()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"RoleArn": "reader-of-everything"}, "ValidationError"),
        ({"RoleArn": "arn:aws:iam::123456789012:user/reader"}, "ValidationError"),
        ({"RoleArn": "arn:aws:iam::999999999999:role/reader"}, "AccessDenied"),
        ({"RoleSessionName": "two words"}, "ValidationError"),
        ({"DurationSeconds": 43201}, "ValidationError"),
    ],
)
def test_a_role_that_cannot_be_assumed_is_refused(
    shared_local_aws: Any, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError, match=code):
        shared_local_aws.client("sts").assume_role(**{"RoleArn": ROLE, "RoleSessionName": "s1", **change})
