"""Rules about names: exports, physical names, and nothing typed by hand."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from infrastructure.cloudformation.environments import EvaluatedEnvironment, EvaluatedStack
from infrastructure.cloudformation.findings import Finding, finding
from infrastructure.cloudformation.template import Position, Template

#: The property that holds the physical name of a resource, by type.
NAME_PROPERTIES = {
    "AWS::ApiGateway::ApiKey": "Name",
    "AWS::ApiGateway::RestApi": "Name",
    "AWS::ApiGateway::UsagePlan": "UsagePlanName",
    "AWS::ApiGatewayV2::VpcLink": "Name",
    "AWS::AutoScaling::AutoScalingGroup": "AutoScalingGroupName",
    "AWS::Batch::ComputeEnvironment": "ComputeEnvironmentName",
    "AWS::Batch::JobDefinition": "JobDefinitionName",
    "AWS::Batch::JobQueue": "JobQueueName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::CodePipeline::Pipeline": "Name",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::CapacityProvider": "Name",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::EMR::SecurityConfiguration": "Name",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::Glue::SecurityConfiguration": "Name",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::MWAA::Environment": "Name",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::WAFv2::WebACL": "Name",
}
#: Types whose resources are addressed by their name, so that a generated one would help nobody.
NAMED = frozenset(
    {
        "AWS::Batch::JobDefinition",
        "AWS::Batch::JobQueue",
        "AWS::ECR::Repository",
        "AWS::ECS::Cluster",
        "AWS::EMR::SecurityConfiguration",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::Glue::SecurityConfiguration",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::Logs::LogGroup",
        "AWS::MWAA::Environment",
        "AWS::S3::Bucket",
        "AWS::SageMaker::ModelPackageGroup",
    }
)
#: Types whose names are global begin like this. Names of all others are taken in one region.
_GLOBAL = ("AWS::IAM::", "AWS::S3::")
_PREFIXES = ("nexus-llm-{}", "/nexus-llm/{}/", "alias/nexus-llm-{}-", "aws-waf-logs-nexus-llm-{}")
_TYPED_BY_HAND = {
    "an account number": re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])"),
    "an id": re.compile(r"\b(vpc|subnet|sg|ami|eni|vpce|lt|tgw|igw|nat|rtb|acl)-[0-9a-f]{8,17}\b"),
    "a region": re.compile(r"\b(us|eu|ap|sa|ca|af|me|il|mx)-[a-z]+-[0-9][a-z]?\b"),
    "a partition": re.compile(r"\barn:aws"),
}


def exports_follow_the_rule(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find exports that are not named after environment, template and output."""
    for stack in environment.stacks:
        for output in stack.outputs.values():
            expected = f"{stack.name}-{output.name}"
            if output.export and output.export != expected:
                message = f"is exported as {output.export}, expected {expected}"
                yield finding(stack.template, "export-name", message, ("Outputs", output.name))


def physical_names_follow_the_rule(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find names that do not begin with the environment's, that are taken twice, or that are missing."""
    allowed = tuple(prefix.format(environment.name) for prefix in _PREFIXES)
    owners: dict[tuple[str, str, str], list[tuple[EvaluatedStack, str]]] = defaultdict(list)
    for stack in environment.stacks:
        for resource in stack.resources.values():
            key = NAME_PROPERTIES.get(resource.type)
            position: Position = ("Resources", resource.logical_id, "Properties", key or "")
            name = resource.properties.get(key) if key else None
            if isinstance(name, str):
                region = "" if resource.type.startswith(_GLOBAL) else stack.place.region
                owners[resource.type, name, region].append((stack, resource.logical_id))
                if not name.startswith(allowed):
                    message = f"{name} does not begin with nexus-llm-{environment.name}"
                    yield finding(stack.template, "physical-name", message, position)
            elif resource.type in NAMED:
                yield finding(stack.template, "physical-name", f"has no {key}", position)
    for (kind, name, _), users in owners.items():
        for stack, logical_id in users[1:]:
            message = f"{kind} {name} is also {users[0][1]} of {users[0][0].template.name}"
            yield finding(stack.template, "name-taken-twice", message, ("Resources", logical_id))


def nothing_is_typed_by_hand(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find accounts, regions, partitions and ids that are written in a template or its parameters."""
    for stack in environment.stacks:
        template = stack.template
        for section in ("Parameters", "Mappings", "Conditions", "Resources", "Outputs"):
            yield from _typed(template, template.section(section), (section,))
        for name, value in environment.parameters[template.name].items():
            for kind in set(_kinds(str(value))) - {"a region"}:  # a second region is a choice
                message = f"parameter {name} of {environment.name} is {kind} typed by hand: {value}"
                yield finding(template, "typed-by-hand", message, ("Parameters", name))


def _typed(template: Template, value: Any, position: Position) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in ("Description", "Metadata"):
                yield from _typed(template, item, (*position, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _typed(template, item, (*position, index))
    elif isinstance(value, str):
        for kind in _kinds(value):
            yield finding(template, "typed-by-hand", f"{kind} is typed by hand: {value[:80]}", position)


def _kinds(text: str) -> list[str]:
    return [kind for kind, pattern in _TYPED_BY_HAND.items() if pattern.search(text)]


RULES = (exports_follow_the_rule, physical_names_follow_the_rule, nothing_is_typed_by_hand)
