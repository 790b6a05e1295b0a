"""Each of our rules finds its fault, and nothing in a resource without it."""

from __future__ import annotations

import pytest

from infrastructure.cloudformation.rules import own_rules
from tests.infrastructure.stacks import environment, found, template

BUCKET = """\
    Bucket:
      Type: AWS::S3::Bucket
      DeletionPolicy: Retain
      UpdateReplacePolicy: Retain
      Properties:
        BucketName: !Sub nexus-llm-${Environment}-raw
        LifecycleConfiguration:
          Rules:
            - Transitions: [{StorageClass: STANDARD_IA, TransitionInDays: 30}]
              NoncurrentVersionExpiration: {NoncurrentDays: 30}
"""
POLICY = """\
    Policy:
      Type: AWS::S3::BucketPolicy
      Properties:
        Bucket: !Ref Bucket
        PolicyDocument:
          Statement:
            - Effect: Deny
              Principal: "*"
              Action: s3:*
              Resource: x
              Condition: {Bool: {aws:SecureTransport: false}}
"""
KEY = """\
    Key:
      Type: AWS::KMS::Key
      DeletionPolicy: Retain
      UpdateReplacePolicy: Retain
      Properties:
        KeyPolicy:
          Statement:
            - Effect: Allow
              Principal: {AWS: "*"}
              Action: kms:Decrypt
              Condition: {ArnLike: {aws:PrincipalArn: arn}}
"""
DELIVERY = """\
    Policy:
      Type: AWS::S3::BucketPolicy
      Properties:
        Bucket: x
        PolicyDocument:
          Statement:
            - Effect: Allow
              Principal: {Service: logging.s3.amazonaws.com}
              Action: s3:PutObject
              Condition: {StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}}
"""
OWNED = """\
    Bucket:
      Type: AWS::S3::Bucket
      Properties: {OwnershipControls: {Rules: [{ObjectOwnership: BucketOwnerEnforced}]}}
"""
FLOWS = "Log: {Type: AWS::EC2::FlowLog, Properties: {TrafficType: ALL}}"
ROLE = """\
    Role:
      Type: AWS::IAM::Role
      Properties:
        RoleName: !Sub nexus-llm-${Environment}-job
        PermissionsBoundary: x
        AssumeRolePolicyDocument:
          Statement:
            - Effect: Allow
              Principal: {Service: sagemaker.amazonaws.com}
              Action: sts:AssumeRole
              Condition: {StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}}
        Policies:
          - PolicyName: pass
            PolicyDocument:
              Statement:
                - Effect: Allow
                  Action: iam:PassRole
                  Resource: !Sub arn:${AWS::Partition}:iam::x:role/nexus-llm-${Environment}-job
                  Condition: {StringEquals: {iam:PassedToService: sagemaker.amazonaws.com}}
"""
LOGS_KEY = """\
    Key:
      Type: AWS::KMS::Key
      Properties:
        KeyPolicy:
          Statement:
            - Effect: Allow
              Principal: {Service: !Sub "logs.${AWS::Region}.amazonaws.com"}
              Action: kms:Decrypt
              Resource: "*"
              Condition:
                ArnLike: {kms:EncryptionContext:aws:logs:arn: !Sub "${AWS::AccountId}:log-group/x"}
"""
SUBNETS = "".join(
    f"""\
    Subnet{zone}:
      Type: AWS::EC2::Subnet
      Properties: {{CidrBlock: 10.0.{zone}.0/24, AvailabilityZone: !Select [{zone}, !GetAZs ""]}}
"""
    for zone in range(3)
)
GROUP = """\
    Group:
      Type: AWS::EC2::SecurityGroup
      Properties:
        SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, FromPort: 443, ToPort: 443}]
        SecurityGroupEgress: []
"""
SERVING = """\
    Listener:
      Type: AWS::ElasticLoadBalancingV2::Listener
      Properties:
        Protocol: HTTPS
        SslPolicy: ELBSecurityPolicy-TLS13-1-3-2021-06
        DefaultActions: [{Type: fixed-response}]
    Redirect:
      Type: AWS::ElasticLoadBalancingV2::Listener
      Properties: {Protocol: HTTP, DefaultActions: [{Type: redirect}]}
    Blue:
      Type: AWS::ElasticLoadBalancingV2::TargetGroup
      Properties: {Name: nexus-llm-dev-blue, TargetType: ip, Port: 8080, HealthCheckPath: /readyz}
    Green:
      Type: AWS::ElasticLoadBalancingV2::TargetGroup
      Properties: {Name: nexus-llm-dev-green, TargetType: ip, Port: 8080, HealthCheckPath: /readyz}
    Rule:
      Type: AWS::ElasticLoadBalancingV2::ListenerRule
      Properties:
        Actions:
          - Type: forward
            ForwardConfig: {TargetGroups: [{TargetGroupArn: !Ref Blue}, {TargetGroupArn: !Ref Green}]}
"""
AIRFLOW = """\
    Airflow:
      Type: AWS::MWAA::Environment
      Properties:
        Name: !Sub nexus-llm-${Environment}
        WebserverAccessMode: PRIVATE_ONLY
        KmsKey: x
        EnvironmentClass: mw1.small
        AirflowVersion: 3.3.1
        LoggingConfiguration:
          DagProcessingLogs: {Enabled: true, LogLevel: INFO}
          SchedulerLogs: {Enabled: true, LogLevel: INFO}
          TaskLogs: {Enabled: true, LogLevel: INFO}
          WebserverLogs: {Enabled: true, LogLevel: WARNING}
          WorkerLogs: {Enabled: true, LogLevel: INFO}
"""
OUTPUT = "    Name: {Value: x, Export: {Name: !Sub '${AWS::StackName}-Name'}}\n"

FAULTS = [
    ("physical-name", BUCKET, "nexus-llm-${Environment}-raw", "my-${Environment}-raw"),
    ("physical-name", BUCKET, "BucketName", "Name"),
    ("typed-by-hand", BUCKET, "${Environment}", "123456789012"),
    ("typed-by-hand", BUCKET, "${Environment}", "eu-west-1"),
    ("typed-by-hand", ROLE, "PermissionsBoundary: x", "PermissionsBoundary: arn:aws:iam::x"),
    ("typed-by-hand", GROUP, "CidrIp: 0.0.0.0/0", "SourceSecurityGroupId: sg-0123456789abcdef0"),
    ("not-retained", BUCKET, "DeletionPolicy: Retain\n", "DeletionPolicy: Delete\n"),
    ("not-retained", BUCKET, "      UpdateReplacePolicy: Retain\n", ""),
    ("lifecycle-too-early", BUCKET, "InDays: 30", "InDays: 29"),
    ("lifecycle-too-early", BUCKET, "NoncurrentDays: 30", "NoncurrentDays: 7"),
    ("lifecycle-too-early", BUCKET, "STANDARD_IA, TransitionInDays: 30", "GLACIER, TransitionInDays: 60"),
    ("plain-http-allowed", BUCKET + POLICY, "SecureTransport: false", "SecureTransport: true"),
    ("plain-http-allowed", BUCKET + POLICY, 'Principal: "*"', "Principal: {Service: x}"),
    ("plain-http-allowed", BUCKET + POLICY, "Action: s3:*", "Action: s3:PutObject"),
    ("plain-http-allowed", BUCKET + POLICY, "Effect: Deny", "Effect: Allow"),
    ("confused-deputy", ROLE, "aws:SourceAccount", "aws:PrincipalTag/x"),
    ("confused-deputy", ROLE, "!Ref AWS::AccountId", "'*'"),
    ("confused-deputy", ROLE, "StringEquals: {aws:Source", "StringEqualsIfExists: {aws:Source"),
    ("unknown-service", ROLE, "Service: sagemaker.amazonaws", "Service: sagemakr.amazonaws"),
    ("confused-deputy", LOGS_KEY, "${AWS::AccountId}:log-group", "log-group"),
    ("confused-deputy", LOGS_KEY, "Condition:", "Note:"),
    ("no-boundary", ROLE, "        PermissionsBoundary: x\n", ""),
    ("pass-role-is-wide", ROLE, "iam:PassedToService", "aws:x"),
    ("pass-role-is-wide", ROLE, ":role/nexus-llm-${Environment}-job", ":role/nexus-llm-*"),
    ("zones-are-not-balanced", SUBNETS, "Select [2", "Select [1"),
    ("address-blocks-overlap", SUBNETS, "10.0.2.0/24", "10.0.0.0/23"),
    ("open-to-any-address", GROUP, "FromPort: 443", "FromPort: 22"),
    ("egress-is-not-stated", GROUP, "        SecurityGroupEgress: []\n", ""),
    ("tls-policy", SERVING, "TLS13-1-3-2021", "TLS13-1-3-2012"),
    ("tls-policy", SERVING, "SslPolicy:", "Port:"),
    ("plain-http-listener", SERVING, "Protocol: HTTPS", "Protocol: HTTP"),
    ("target-group", SERVING, "HealthCheckPath: /readyz", "HealthCheckPath: /ready"),
    ("target-group", SERVING, "TargetType: ip", "TargetType: instance"),
    ("target-group", SERVING, "Port: 8080", "Port: 8081"),
    ("target-groups-differ", SERVING, "-green,", "-green, ProtocolVersion: GRPC,"),
    ("no-alternate-target-group", SERVING, "{TargetGroupArn: !Ref Green}", "{TargetGroupArn: !Ref Blue}"),
    ("airflow-is-public", AIRFLOW, "PRIVATE_ONLY", "PUBLIC_ONLY"),
    ("airflow-without-key", AIRFLOW, "        KmsKey: x\n", ""),
    ("airflow-class", AIRFLOW, "mw1.small", "mw1.tiny"),
    ("airflow-version", AIRFLOW, "3.3.1", "3.2.1"),
    ("airflow-version", AIRFLOW, "3.3.1", "4.0.0"),
    ("airflow-version", AIRFLOW, "3.3.1", "newest"),
    ("airflow-log-is-off", AIRFLOW, "WorkerLogs: {Enabled: true", "WorkerLogs: {Enabled: false"),
    ("airflow-log-is-off", AIRFLOW, "          TaskLogs: {Enabled: true, LogLevel: INFO}\n", ""),
    ("admits-everybody", KEY, "aws:PrincipalArn", "aws:PrincipalTag/team"),
    ("admits-everybody", KEY, "ArnLike", "ArnNotLike"),
    ("admits-everybody", KEY, "ArnLike", "ArnLikeIfExists"),
    ("admits-everybody", BUCKET + POLICY, "Effect: Deny", "Effect: Allow"),
    ("confused-deputy", DELIVERY, "aws:SourceAccount: !Ref AWS::AccountId", "aws:SourceVpc: x"),
    ("object-ownership", OWNED, "BucketOwnerEnforced", "ObjectWriter"),
    ("flows-left-out", FLOWS, "ALL", "ACCEPT"),
    ("airflow-log-level", AIRFLOW, "LogLevel: WARNING", "LogLevel: DEBUG"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "resources", "right", "wrong"), FAULTS)
def test_a_rule_finds_its_fault_and_nothing_without_it(
    rule: str, resources: str, right: str, wrong: str
) -> None:
    assert found(rule, resources) == []
    assert right in resources
    assert found(rule, resources.replace(right, wrong))


def test_an_export_is_named_after_environment_template_and_output() -> None:
    assert found("export-name", BUCKET, OUTPUT) == []
    message = found("export-name", BUCKET, OUTPUT.replace("StackName}-Name", "StackName}-Other"))[0].message
    assert message == "is exported as nexus-llm-dev-example-Other, expected nexus-llm-dev-example-Name"


def test_a_name_is_given_to_one_resource_of_a_type_in_all_stacks() -> None:
    two = environment(template(BUCKET, name="a"), template(BUCKET, name="b"))
    taken = [each for each in own_rules(two) if each.rule == "name-taken-twice"]
    assert [(each.template, each.message) for each in taken] == [
        ("b", "AWS::S3::Bucket nexus-llm-dev-raw is also Bucket of a")
    ]


@pytest.mark.parametrize(
    ("kind", "key", "is_taken"),
    [("AWS::ECR::Repository", "RepositoryName", False), ("AWS::S3::Bucket", "BucketName", True)],
)
def test_a_name_may_be_given_again_in_another_region_unless_it_is_global(
    kind: str, key: str, is_taken: bool
) -> None:
    resource = f"One: {{Type: '{kind}', Properties: {{{key}: !Sub 'nexus-llm-${{Environment}}-models'}}}}"
    here = template(resource, name="here", parameters="SecondRegion: {Type: String}")
    there = template(resource, name="there")
    there.body["Metadata"] = {"RegionFrom": "here.SecondRegion"}  # type: ignore[index]
    both = environment(here, there, SecondRegion="eu-west-1")
    assert any(each.rule == "name-taken-twice" for each in own_rules(both)) is is_taken


def test_a_parameter_of_an_environment_holds_nothing_typed_by_hand() -> None:
    one = template(BUCKET, parameters="Vpc: {Type: String}\n")
    assert [
        each.message
        for each in own_rules(environment(one, Vpc="vpc-0123456789abcdef0"))
        if each.rule == "typed-by-hand"
    ] == ["parameter Vpc of dev is an id typed by hand: vpc-0123456789abcdef0"]
