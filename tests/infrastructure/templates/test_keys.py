"""The keys of an environment encrypt the log groups of all its stacks."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from infrastructure.cloudformation.check import ANY_PLACE
from infrastructure.cloudformation.environments import environment_names, read_environment


@pytest.mark.parametrize("name", environment_names())
def test_the_policy_of_a_key_names_every_log_group_that_is_encrypted_with_it(name: str) -> None:
    environment = read_environment(name, ANY_PLACE)
    patterns = {
        f"<keys.{key.logical_id}.Arn>": [
            pattern.partition("log-group:")[2]
            for statement in key.properties["KeyPolicy"]["Statement"]
            for pattern in statement.get("Condition", {})
            .get("ArnLike", {})
            .get("kms:EncryptionContext:aws:logs:arn", [])
        ]
        for stack, key in environment.of_type("AWS::KMS::Key")
        if stack.template.name == "keys"
    }
    groups = [group.properties for _, group in environment.of_type("AWS::Logs::LogGroup")]
    assert groups
    assert [
        group["LogGroupName"]
        for group in groups
        if not any(fnmatchcase(group["LogGroupName"], pattern) for pattern in patterns[group["KmsKeyId"]])
    ] == []
