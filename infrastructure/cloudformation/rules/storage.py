"""Rules about data: what is kept when a stack is deleted, lifecycles, and access by TLS only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infrastructure.cloudformation.environments import EvaluatedEnvironment
from infrastructure.cloudformation.findings import Finding, finding

#: Types whose loss cannot be undone: objects, images, secrets, versions of models, and the keys to them.
KEPT = (
    "AWS::ECR::Repository",
    "AWS::EFS::FileSystem",
    "AWS::KMS::Key",
    "AWS::KMS::ReplicaKey",
    "AWS::S3::Bucket",
    "AWS::SageMaker::ModelPackageGroup",
    "AWS::SecretsManager::Secret",
)
#: The fewest days before a transition: S3 refuses a move to IA before 30 days, and the specification wants
#: Glacier from 90 days.
EARLIEST = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "GLACIER": 90, "DEEP_ARCHIVE": 180}
#: The fewest days that replaced and deleted objects stay, so that an accident is noticed in time.
_NONCURRENT_DAYS = 30


def what_cannot_be_recreated_is_retained(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find resources with data that are deleted together with their stack, or when they are replaced."""
    for stack in environment.stacks:
        for resource in stack.resources.values():
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if resource.type in KEPT and resource.attributes.get(policy) != "Retain":
                    message = f"{policy} is {resource.attributes.get(policy)}, expected Retain"
                    position = ("Resources", resource.logical_id)
                    yield finding(stack.template, "not-retained", message, position)


def lifecycles_are_not_too_early(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find objects that are moved or deleted earlier than S3, the specification or a recovery allows."""
    for stack, bucket in environment.of_type("AWS::S3::Bucket"):
        position = ("Resources", bucket.logical_id, "Properties", "LifecycleConfiguration", "Rules")
        rules = bucket.properties.get("LifecycleConfiguration", {}).get("Rules", [])
        for index, rule in enumerate(rules):
            for message in _too_early(rule):
                yield finding(stack.template, "lifecycle-too-early", message, (*position, index))


def _too_early(rule: Mapping[str, Any]) -> Iterator[str]:
    transitions = [*rule.get("Transitions", []), *rule.get("NoncurrentVersionTransitions", [])]
    for transition in transitions:
        days = int(transition.get("TransitionInDays", 0))
        least = EARLIEST.get(str(transition.get("StorageClass")), 0)
        if days < least:
            yield f"moves to {transition['StorageClass']} after {days} days, expected at least {least}"
    expiration = rule.get("NoncurrentVersionExpiration", {})
    days = int(expiration.get("NoncurrentDays", _NONCURRENT_DAYS))
    if days < _NONCURRENT_DAYS:
        yield f"deletes noncurrent versions after {days} days, expected at least {_NONCURRENT_DAYS}"


def objects_belong_to_their_bucket(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find buckets in which whoever writes an object can own it, and so keep others from reading it."""
    for stack, bucket in environment.of_type("AWS::S3::Bucket"):
        for rule in bucket.properties.get("OwnershipControls", {}).get("Rules", []):
            if rule.get("ObjectOwnership") != "BucketOwnerEnforced":
                message = f"ObjectOwnership is {rule.get('ObjectOwnership')}, expected BucketOwnerEnforced"
                yield finding(stack.template, "object-ownership", message, ("Resources", bucket.logical_id))


def buckets_refuse_plain_http(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find buckets without a policy that denies every request that does not use TLS."""
    for stack in environment.stacks:
        guarded = {
            str(policy.properties.get("Bucket")).strip("<>").rsplit(".", 1)[-1]
            for policy in stack.of_type("AWS::S3::BucketPolicy")
            if _denies_plain_http(policy.properties)
        }
        for bucket in stack.of_type("AWS::S3::Bucket"):
            if bucket.logical_id not in guarded:
                message = "has no policy that denies requests without TLS"
                position = ("Resources", bucket.logical_id)
                yield finding(stack.template, "plain-http-allowed", message, position)


def _denies_plain_http(properties: Mapping[str, Any]) -> bool:
    statements = properties.get("PolicyDocument", {}).get("Statement", [])
    return any(
        statement.get("Effect") == "Deny"
        and statement.get("Action") in ("s3:*", ["s3:*"])
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and str(
            statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
        ).lower() == "false"
        for statement in statements
    )  # fmt: skip


RULES = (
    what_cannot_be_recreated_is_retained,
    lifecycles_are_not_too_early,
    objects_belong_to_their_bucket,
    buckets_refuse_plain_http,
)
