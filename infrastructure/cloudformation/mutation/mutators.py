"""The faults: each is applied to every resource of its type that has what it changes.

A path leads from the resource to a value; ``*`` stands for every item of a list or mapping. A change is the
new value, ``REMOVED``, or a function of the old value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REMOVED = object()
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutator:
    """One fault. ``type`` is a resource type, or empty for every resource."""

    name: str
    type: str
    path: str
    change: Any

    def places(self, resource: Mapping[str, Any]) -> list[Path]:
        """Return the places of a resource at which the fault can be made."""
        if self.type and resource.get("Type") != self.type:
            return []
        return list(_places(resource, self.path.split("/"), ()))

    def apply(self, resource: dict[str, Any], place: Path) -> None:
        """Change ``resource`` at ``place``."""
        *way, last = place
        holder: Any = resource
        for key in way:
            holder = holder[key]
        if self.change is REMOVED:
            del holder[last]
        else:
            holder[last] = self.change(holder[last]) if callable(self.change) else self.change


def _places(value: Any, path: Sequence[str], place: Path) -> Iterator[Path]:
    if not path:
        yield place
        return
    first, rest = path[0], path[1:]
    if isinstance(value, list):
        for index, item in enumerate(value):
            if first in ("*", str(index)):
                yield from _places(item, rest, (*place, index))
    elif isinstance(value, Mapping):
        for key in value:
            if first in ("*", key):
                yield from _places(value[key], rest, (*place, key))


def _misspelt(text: Any) -> Any:
    """Change one letter of a text, also inside of a function."""
    if isinstance(text, str):
        return f"{text[:-2]}{text[-1:]}{text[-2:-1]}" if text[-1:] != text[-2:-1] else f"{text}x"
    if isinstance(text, Mapping):
        return {key: _misspelt(item) for key, item in text.items()}
    if isinstance(text, list):
        return [*text[:-1], _misspelt(text[-1])]
    return text


def _renamed_property(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Misspell the name of the first property."""
    first, *_ = properties
    return {_misspelt(key) if key == first else key: value for key, value in properties.items()}


def _without_denials(statements: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Remove the statements that deny something."""
    return [each for each in statements if each.get("Effect") != "Deny"]


_S3 = "AWS::S3::Bucket"
_ROLE = "AWS::IAM::Role"
_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
_LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
_MWAA = "AWS::MWAA::Environment"
_TRUST = "Properties/AssumeRolePolicyDocument/Statement/*"

MUTATORS: tuple[Mutator, ...] = (
    # any resource
    Mutator("a property is misspelt", "", "Properties", _renamed_property),
    Mutator("an unknown property is set", "", "Properties", lambda old: {**old, "Unknwon": "x"}),
    Mutator("the type does not exist", "", "Type", _misspelt),
    Mutator("a condition does not exist", "", "Condition", _misspelt),
    Mutator("the resource is not retained", "", "DeletionPolicy", REMOVED),
    Mutator("a replaced resource is not retained", "", "UpdateReplacePolicy", REMOVED),
    # S3
    Mutator("objects are not encrypted by our key", _S3, "Properties/BucketEncryption", REMOVED),
    Mutator("public access is not blocked", _S3, "Properties/PublicAccessBlockConfiguration", REMOVED),
    Mutator("one public access block is off", _S3, "Properties/PublicAccessBlockConfiguration/*", False),
    Mutator("versions are not kept", _S3, "Properties/VersioningConfiguration/Status", "Suspended"),
    Mutator("access is not logged", _S3, "Properties/LoggingConfiguration", REMOVED),
    Mutator("objects may have other owners", _S3, "Properties/OwnershipControls/Rules/0/ObjectOwnership",
            "ObjectWriter"),
    Mutator("a transition is too early", _S3,
            "Properties/LifecycleConfiguration/Rules/*/Transitions/*/TransitionInDays", 1),
    Mutator("old versions are deleted too early", _S3,
            "Properties/LifecycleConfiguration/Rules/*/NoncurrentVersionExpiration/NoncurrentDays", 1),
    Mutator("a bucket's name is another's", _S3, "Properties/BucketName", "nexus-llm-raw"),
    Mutator("nothing refuses plain HTTP", "AWS::S3::BucketPolicy",
            "Properties/PolicyDocument/Statement", _without_denials),
    Mutator("a bucket policy admits everybody", "AWS::S3::BucketPolicy",
            "Properties/PolicyDocument/Statement/*/Effect", "Allow"),
    # keys, secrets, logs, images
    Mutator("the key does not rotate", "AWS::KMS::Key", "Properties/EnableKeyRotation", False),
    Mutator("the key policy admits everybody", "AWS::KMS::Key",
            "Properties/KeyPolicy/Statement/*/Principal", "*"),
    Mutator("the key policy has no condition", "AWS::KMS::Key",
            "Properties/KeyPolicy/Statement/*/Condition", REMOVED),
    Mutator("logs are kept for ever", "AWS::Logs::LogGroup", "Properties/RetentionInDays", REMOVED),
    Mutator("logs are not encrypted by our key", "AWS::Logs::LogGroup", "Properties/KmsKeyId", REMOVED),
    Mutator("images may be overwritten", "AWS::ECR::Repository", "Properties/ImageTagMutability", "MUTABLE"),
    Mutator("images are not scanned", "AWS::ECR::Repository",
            "Properties/ImageScanningConfiguration/ScanOnPush", False),
    Mutator("images are not encrypted by our key", "AWS::ECR::Repository",
            "Properties/EncryptionConfiguration", REMOVED),
    # roles
    Mutator("a role has no boundary", _ROLE, "Properties/PermissionsBoundary", REMOVED),
    Mutator("a service acts for any account", _ROLE, f"{_TRUST}/Condition", REMOVED),
    Mutator("everybody may assume the role", _ROLE, f"{_TRUST}/Principal", {"AWS": "*"}),
    Mutator("a service's name is misspelt", _ROLE, f"{_TRUST}/Principal/Service", _misspelt),
    Mutator("a role may do everything", _ROLE,
            "Properties/Policies/*/PolicyDocument/Statement/*/Action", "*"),
    Mutator("a policy may do everything", "AWS::IAM::ManagedPolicy",
            "Properties/PolicyDocument/Statement/*/Action", "*"),
    Mutator("an action is misspelt", _ROLE,
            "Properties/Policies/*/PolicyDocument/Statement/*/Action/0", _misspelt),
    Mutator("an action of a policy is misspelt", "AWS::IAM::ManagedPolicy",
            "Properties/PolicyDocument/Statement/*/Action/0", _misspelt),
    # network
    Mutator("two subnets share a zone", "AWS::EC2::Subnet", "Properties/AvailabilityZone",
            {"Fn::Select": [0, {"Fn::GetAZs": ""}]}),
    Mutator("a subnet gives public addresses", "AWS::EC2::Subnet", "Properties/MapPublicIpOnLaunch", True),
    Mutator("a group admits everybody to SSH", "AWS::EC2::SecurityGroup",
            "Properties/SecurityGroupIngress",
            [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}]),
    Mutator("a group lets everything out", "AWS::EC2::SecurityGroup",
            "Properties/SecurityGroupEgress", REMOVED),
    Mutator("flows are not logged", "AWS::EC2::FlowLog", "Properties/TrafficType", "ACCEPT"),
    # instances
    Mutator("instance metadata needs no token", "AWS::EC2::LaunchTemplate",
            "Properties/LaunchTemplateData/MetadataOptions/HttpTokens", "optional"),
    Mutator("a volume is not encrypted", "AWS::EC2::LaunchTemplate",
            "Properties/LaunchTemplateData/BlockDeviceMappings/*/Ebs/Encrypted", False),
    # serving
    Mutator("the TLS policy is misspelt", _LISTENER, "Properties/SslPolicy",
            "ELBSecurityPolicy-TLS13-1-2-Rse"),
    Mutator("the TLS policy is the default", _LISTENER, "Properties/SslPolicy", REMOVED),
    Mutator("the listener speaks plain HTTP", _LISTENER, "Properties/Protocol", "HTTP"),
    Mutator("the health path is missing", _GROUP, "Properties/HealthCheckPath", REMOVED),
    Mutator("the health path is misspelt", _GROUP, "Properties/HealthCheckPath", _misspelt),
    Mutator("targets are instances", _GROUP, "Properties/TargetType", "instance"),
    Mutator("the port is not the server's", _GROUP, "Properties/Port", 80),
    Mutator("a rule has no alternate target group", "AWS::ElasticLoadBalancingV2::ListenerRule",
            "Properties/Actions/*/ForwardConfig/TargetGroups/1", REMOVED),
    Mutator("requests are not logged", "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties/LoadBalancerAttributes/0/Value", "false"),
    Mutator("containers are not observed", "AWS::ECS::Cluster", "Properties/ClusterSettings", REMOVED),
    # Airflow
    Mutator("Airflow is public", _MWAA, "Properties/WebserverAccessMode", "PUBLIC_ONLY"),
    Mutator("Airflow has no key of ours", _MWAA, "Properties/KmsKey", REMOVED),
    Mutator("Airflow's version does not exist", _MWAA, "Properties/AirflowVersion", "3.99.0"),
    Mutator("Airflow's class does not exist", _MWAA, "Properties/EnvironmentClass", "mw1.tiny"),
    Mutator("a log of Airflow is off", _MWAA, "Properties/LoggingConfiguration/*/Enabled", False),
    Mutator("a log of Airflow is missing", _MWAA, "Properties/LoggingConfiguration/*", REMOVED),
)  # fmt: skip
