"""Buckets take what jobs write, archive nothing that jobs read, and replicate what cannot be made again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest

from infrastructure.cloudformation.check import ANY_PLACE
from infrastructure.cloudformation.environments import (
    FOLDER,
    EvaluatedEnvironment,
    EvaluatedStack,
    evaluate_environment,
)
from infrastructure.cloudformation.evaluate import EvaluatedResource
from infrastructure.cloudformation.parameters import stack_parameters
from infrastructure.cloudformation.template import read_template

TEMPLATES = [
    read_template(FOLDER / f"{name}.yaml") for name in ("keys", "network", "access", "storage", "replica")
]
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
DATA = ("RawBucket", "ProcessedBucket", "ModelsBucket")
KEY = "<keys.DataKey.Arn>"
SECURE = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
ENCRYPTION = "s3:x-amz-server-side-encryption"


@lru_cache(maxsize=8)
def environment(**storage: Any) -> EvaluatedEnvironment:
    """Evaluate storage and what it imports from, with these parameters of storage."""
    own: dict[str, Mapping[str, Any]] = {
        "network": {"NatGateways": "none", "FlowLogRetentionDays": 30},
        "storage": {"LogRetentionDays": 30, **storage},
        "replica": {"RawBackup": True},
    }
    values = {
        each.name: stack_parameters(each, own.get(each.name, {}), "dev", each.name) for each in TEMPLATES
    }
    return evaluate_environment("dev", ANY_PLACE, TEMPLATES, values)


def stack(name: str, found: EvaluatedEnvironment) -> EvaluatedStack:
    return next(each for each in found.stacks if each.template.name == name)


def bucket(logical_id: str, **storage: Any) -> Mapping[str, Any]:
    return stack("storage", environment(**storage)).resources[logical_id].properties


def is_denied(policy: EvaluatedResource, request: Mapping[str, str]) -> bool:
    """Return True if a statement denies an upload. As in IAM, a negated operator holds for an absent key."""
    operators = {
        "Bool": lambda found, wanted: found == wanted,
        "NumericLessThan": lambda found, wanted: found is not None and float(found) < float(wanted),
        "StringNotEquals": lambda found, wanted: found != wanted,
        "Null": lambda found, wanted: (found is None) is (wanted == "true"),
    }
    return any(
        all(
            operators[operator](request.get(key), wanted)
            for operator, conditions in statement["Condition"].items()
            for key, wanted in conditions.items()
        )
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Action"] in ("s3:*", "s3:PutObject")
    )


@pytest.mark.parametrize(
    ("headers", "denied"),
    [
        ({}, False),
        ({ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": KEY}, False),
        ({ENCRYPTION: "AES256"}, True),
        ({ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": "another"}, True),
        ({"aws:SecureTransport": "false"}, True),
        ({"s3:TlsVersion": "1.1"}, True),
    ],
)
@pytest.mark.parametrize("logical_id", DATA)
def test_an_upload_is_encrypted_with_the_data_key_whether_it_says_so_or_not(
    logical_id: str, headers: dict[str, str], denied: bool
) -> None:
    policy = stack("storage", environment()).resources[f"{logical_id}Policy"]
    assert is_denied(policy, SECURE | headers) is denied


@pytest.mark.parametrize("storage", [{}, {"ReplicaRegion": "eu-west-1"}])
def test_no_rule_archives_anything_but_the_quarantine(storage: dict[str, str]) -> None:
    archived = {
        (logical_id, rule.get("Prefix"))
        for logical_id in DATA
        for rule in bucket(logical_id, **storage)["LifecycleConfiguration"]["Rules"]
        for transition in rule.get("Transitions", [])
        if transition["StorageClass"] in ARCHIVES
    }
    assert archived == {("RawBucket", "quarantine/")}
    assert not any("IntelligentTieringConfigurations" in bucket(each, **storage) for each in DATA)


def test_raw_shards_go_to_the_archive_only_below_the_prefix_that_a_person_names() -> None:
    (found,) = bucket("RawBucket", RawArchivePrefix="old/")["IntelligentTieringConfigurations"]
    assert found["Prefix"] == "old/"
    assert [(tier["AccessTier"], int(tier["Days"])) for tier in found["Tierings"]] == [("ARCHIVE_ACCESS", 90)]


def test_nothing_is_replicated_without_a_second_region() -> None:
    assert not any("ReplicationConfiguration" in bucket(each, RawBackupPrefix="pile/") for each in DATA)


def test_models_and_corpora_are_replicated_within_a_quarter_of_an_hour_to_buckets_that_exist() -> None:
    found = environment(ReplicaRegion="eu-west-1", RawBackupPrefix="pile/")
    replicas = {
        f"arn:aws:s3:::{each.properties['BucketName']}"
        for each in stack("replica", found).of_type("AWS::S3::Bucket")
    }
    timed, aliases, destinations = set(), set(), set()
    for logical_id in DATA:
        rules = stack("storage", found).resources[logical_id].properties["ReplicationConfiguration"]["Rules"]
        for rule in rules:
            destination = rule["Destination"]
            destinations.add(destination["Bucket"])
            aliases.add(destination["EncryptionConfiguration"]["ReplicaKmsKeyID"].rpartition(":")[2])
            assert rule["SourceSelectionCriteria"]["SseKmsEncryptedObjects"]["Status"] == "Enabled"
            if destination.get("ReplicationTime", {}).get("Time", {}).get("Minutes") == 15:
                timed.add((logical_id, rule["Filter"]["Prefix"]))
    assert destinations == replicas
    assert aliases == {
        each.properties["AliasName"] for each in stack("replica", found).of_type("AWS::KMS::Alias")
    }
    assert timed == {("ModelsBucket", ""), ("ProcessedBucket", "corpus/"), ("ProcessedBucket", "references/")}
