"""Rules about access: who may assume a role, and that every role has the boundary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infrastructure.cloudformation.environments import EvaluatedEnvironment
from infrastructure.cloudformation.findings import Finding, finding

#: Services that send no source account when they assume a role, by AWS's documentation of each.
WITHOUT_SOURCE = frozenset({"ec2.amazonaws.com"})
#: The services that assume roles of this project. IAM refuses a role whose service does not exist, but only
#: when the stack is deployed.
SERVICES = frozenset(
    f"{name}.amazonaws.com"
    for name in (
        *("airflow", "airflow-env", "apigateway", "codebuild", "codepipeline", "ec2", "ecs", "ecs-tasks"),
        *("elasticmapreduce", "emr-serverless", "glue", "ops.emr-serverless", "s3", "sagemaker", "scheduler"),
        *("states", "vpc-flow-logs"),
    )
)
_SOURCES = ("aws:sourceaccount", "aws:sourcearn")
#: Keys of conditions that say who is allowed, if a policy's principal is everybody.
_WHO = ("aws:principalarn", "aws:principalaccount", "aws:principalorgid", "kms:calleraccount", *_SOURCES)
#: Policies of resources: the type and the property that holds its statements.
_RESOURCE_POLICIES = {"AWS::KMS::Key": "KeyPolicy", "AWS::S3::BucketPolicy": "PolicyDocument"}


def services_assume_roles_for_this_account_only(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find trust policies of unknown services, and those by which a service acts for another account.

    A service that acts for many accounts could be made to do so (the *confused deputy*).
    """
    for stack, role in environment.of_type("AWS::IAM::Role"):
        position = ("Resources", role.logical_id, "Properties", "AssumeRolePolicyDocument", "Statement")
        statements = _list(role.properties.get("AssumeRolePolicyDocument", {}).get("Statement"))
        for index, statement in enumerate(statements):
            if unknown := sorted(set(_services(statement)) - SERVICES):
                message = f"{', '.join(unknown)} is no service that assumes roles here"
                yield finding(stack.template, "unknown-service", message, (*position, index))
            services = set(_services(statement)) - WITHOUT_SOURCE
            if services and not _names_the_source(statement, environment.place.account):
                message = f"{', '.join(sorted(services))} may assume it for any account"
                yield finding(stack.template, "confused-deputy", message, (*position, index))


def every_role_has_the_boundary(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find roles without a permission boundary."""
    for stack, role in environment.of_type("AWS::IAM::Role"):
        if "PermissionsBoundary" not in role.properties:
            position = ("Resources", role.logical_id)
            yield finding(stack.template, "no-boundary", "has no PermissionsBoundary", position)


def roles_are_passed_to_named_services_only(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find permissions to pass a role to any service, or to pass any role."""
    for stack, resource in (
        *environment.of_type("AWS::IAM::ManagedPolicy"),
        *environment.of_type("AWS::IAM::Role"),
    ):
        for statement in _granted(resource.properties):
            if _passes_widely(statement):
                message = f"statement {statement.get('Sid', '')} passes any role, or to any service"
                yield finding(
                    stack.template, "pass-role-is-wide", message, ("Resources", resource.logical_id)
                )


def policies_of_keys_and_buckets_say_who_is_allowed(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find statements that allow everybody, and bucket policies by which a service acts for any account."""
    for kind, key in _RESOURCE_POLICIES.items():
        for stack, resource in environment.of_type(kind):
            position = ("Resources", resource.logical_id, "Properties", key, "Statement")
            for index, statement in enumerate(_list(resource.properties.get(key, {}).get("Statement"))):
                if statement.get("Effect") != "Allow":
                    continue
                if _is_everybody(statement.get("Principal")) and not _says_who(statement):
                    message = f"statement {statement.get('Sid', index)} allows everybody"
                    yield finding(stack.template, "admits-everybody", message, (*position, index))
                account = stack.place.account
                # a key is also limited by an encryption context, which holds the ARN of what is encrypted
                is_limited = _names_the_source(statement, account) or (
                    kind == "AWS::KMS::Key" and account in str(statement.get("Condition", ""))
                )
                if _services(statement) and not is_limited:
                    message = f"{', '.join(_services(statement))} may act for any account"
                    yield finding(stack.template, "confused-deputy", message, (*position, index))


def _is_everybody(principal: Any) -> bool:
    return "*" in _list(principal.get("AWS") if isinstance(principal, Mapping) else principal)


def _says_who(statement: Mapping[str, Any]) -> bool:
    return any(
        key.lower() in _WHO
        for operator, conditions in statement.get("Condition", {}).items()
        if not operator.endswith("IfExists") and "Not" not in operator
        for key in conditions
    )


def _granted(properties: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the statements of a managed policy or of a role's own policies; a boundary grants nothing."""
    if str(properties.get("ManagedPolicyName", "")).endswith("-boundary"):
        return []
    policies = [properties, *properties.get("Policies", [])]
    return [
        statement
        for policy in policies
        for statement in _list(policy.get("PolicyDocument", {}).get("Statement"))
    ]


def _passes_widely(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow" or "iam:PassRole" not in _list(statement.get("Action")):
        return False
    services = statement.get("Condition", {}).get("StringEquals", {}).get("iam:PassedToService")
    return not services or any(str(resource).endswith("*") for resource in _list(statement.get("Resource")))


def _names_the_source(statement: Mapping[str, Any], account: str) -> bool:
    """Return True if a condition admits requests of this account only."""
    for operator, conditions in statement.get("Condition", {}).items():
        if operator.endswith("IfExists"):  # admits a request that names no source
            continue
        for key, values in conditions.items():
            if key.lower() in _SOURCES and all(account in str(value) for value in _list(values)):
                return True
    return False


def _services(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal", {})
    return _list(principal.get("Service")) if isinstance(principal, Mapping) else []


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


RULES = (
    services_assume_roles_for_this_account_only,
    every_role_has_the_boundary,
    roles_are_passed_to_named_services_only,
    policies_of_keys_and_buckets_say_who_is_allowed,
)
