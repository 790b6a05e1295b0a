"""Parameters that moto would store without an effect are refused, and nothing is created."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

NAME = "promise"
CALLS = [
    ("secretsmanager", "create_secret", {"Name": NAME, "SecretString": "s", "KmsKeyId": "alias/k"}, "KMS"),
    (
        "secretsmanager",
        "create_secret",
        {"Name": NAME, "SecretString": "s", "AddReplicaRegions": [{"Region": "eu-west-1"}]},
        "one region",
    ),
    ("ssm", "put_parameter", {"Name": NAME, "Value": "v", "Type": "SecureString", "KeyId": "k"}, "KMS"),
    ("ssm", "put_parameter", {"Name": NAME, "Value": "v", "Type": "String", "Policies": "[]x"}, "expire"),
    ("sqs", "create_queue", {"QueueName": NAME, "Attributes": {"KmsMasterKeyId": "alias/k"}}, "KMS"),
    ("sns", "create_topic", {"Name": NAME, "Attributes": {"KmsMasterKeyId": "alias/k"}}, "KMS"),
    ("logs", "create_log_group", {"logGroupName": NAME, "kmsKeyId": "arn:aws:kms:k"}, "KMS"),
]


@pytest.mark.parametrize(("service", "operation", "arguments", "word"), CALLS)
def test_a_parameter_without_an_effect_is_a_501(
    shared_local_aws: Any, service: str, operation: str, arguments: dict[str, Any], word: str
) -> None:
    with pytest.raises(ClientError, match=word) as refused:
        getattr(shared_local_aws.client(service), operation)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("document", ["nobody", "[]", "{"])
def test_a_trust_policy_that_is_no_json_object_is_refused(shared_local_aws: Any, document: str) -> None:
    iam = shared_local_aws.client("iam")
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=document)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName=NAME)
