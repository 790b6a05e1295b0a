"""Every operation that moto may answer keeps what it is given, and its answer fits botocore's model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.moto_services.allowed import ALLOWED
from tests.support.aws_models import RECORDER

STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
TESTED: dict[str, Callable[[Any, Any], None]] = {}


def proves(service: str) -> Callable[[Callable[[Any, Any], None]], Callable[[Any, Any], None]]:
    """Register the function that calls all allowed operations of a service."""

    def register(function: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        TESTED[service] = function
        return function

    return register


@proves("cloudwatch")
def metrics_and_alarms(cw: Any, _: Any) -> None:
    cw.put_metric_data(Namespace="proof", MetricData=[{"MetricName": "m", "Value": 3.0}])
    assert [m["MetricName"] for m in cw.list_metrics(Namespace="proof")["Metrics"]] == ["m"]
    now = datetime.now(UTC).timestamp()
    span = {"StartTime": now - 600, "EndTime": now + 60}
    points = cw.get_metric_statistics(
        Namespace="proof", MetricName="m", Period=60, Statistics=["Sum"], **span
    )["Datapoints"]
    assert sum(point["Sum"] for point in points) == 3.0
    stat = {"Metric": {"Namespace": "proof", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}
    queries = [{"Id": "q", "MetricStat": stat}]
    assert sum(cw.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"][0]["Values"]) == 3.0
    alarm = {"AlarmName": "proof", "Namespace": "proof", "MetricName": "m", "Statistic": "Sum"}
    compare = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0}
    cw.put_metric_alarm(**alarm, **compare, Period=60, EvaluationPeriods=1)
    (found,) = cw.describe_alarms(AlarmNames=["proof"])["MetricAlarms"]
    assert cw.describe_alarms_for_metric(Namespace="proof", MetricName="m")["MetricAlarms"]
    cw.set_alarm_state(AlarmName="proof", StateValue="ALARM", StateReason="asked")
    cw.tag_resource(ResourceARN=found["AlarmArn"], Tags=[{"Key": "a", "Value": "b"}])
    assert cw.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    cw.untag_resource(ResourceARN=found["AlarmArn"], TagKeys=["a"])
    cw.delete_alarms(AlarmNames=["proof"])
    body = json.dumps({"widgets": []})
    cw.put_dashboard(DashboardName="proof", DashboardBody=body)
    assert cw.get_dashboard(DashboardName="proof")["DashboardBody"] == body
    assert [d["DashboardName"] for d in cw.list_dashboards()["DashboardEntries"]] == ["proof"]
    cw.delete_dashboards(DashboardNames=["proof"])
    assert cw.list_dashboards()["DashboardEntries"] == []


@proves("glue")
def catalogue(glue: Any, _: Any) -> None:
    glue.create_database(DatabaseInput={"Name": "proof"})
    glue.update_database(Name="proof", DatabaseInput={"Name": "proof", "Description": "changed"})
    assert glue.get_database(Name="proof")["Database"]["Description"] == "changed"
    assert "proof" in [found["Name"] for found in glue.get_databases()["DatabaseList"]]
    storage = {"Columns": [{"Name": "id", "Type": "string"}], "Location": "s3://b/t"}
    table = {"Name": "t", "StorageDescriptor": storage, "PartitionKeys": [{"Name": "v", "Type": "string"}]}
    place = {"DatabaseName": "proof", "TableName": "t"}
    glue.create_table(DatabaseName="proof", TableInput=table)
    glue.update_table(DatabaseName="proof", TableInput=table | {"Description": "changed"})
    assert glue.get_table(DatabaseName="proof", Name="t")["Table"]["Description"] == "changed"
    versions = glue.get_table_versions(**place)["TableVersions"]
    newest = glue.get_table_version(**place, VersionId=versions[0]["VersionId"])
    assert newest["TableVersion"]["VersionId"] == versions[0]["VersionId"]
    assert [found["Name"] for found in glue.get_tables(DatabaseName="proof")["TableList"]] == ["t"]
    one = {"Values": ["1"], "StorageDescriptor": storage}
    glue.create_partition(**place, PartitionInput=one)
    glue.update_partition(**place, PartitionValueList=["1"], PartitionInput=one | {"Parameters": {"a": "b"}})
    assert glue.get_partition(**place, PartitionValues=["1"])["Partition"]["Parameters"] == {"a": "b"}
    glue.batch_create_partition(**place, PartitionInputList=[one | {"Values": [v]} for v in ("2", "3")])
    entries = [{"PartitionValueList": ["2"], "PartitionInput": one | {"Values": ["2"]}}]
    assert not glue.batch_update_partition(**place, Entries=entries).get("Errors")
    wanted = [{"Values": ["2"]}, {"Values": ["3"]}]
    assert len(glue.batch_get_partition(**place, PartitionsToGet=wanted)["Partitions"]) == 2
    glue.delete_partition(**place, PartitionValues=["1"])
    glue.batch_delete_partition(**place, PartitionsToDelete=wanted)
    assert glue.get_partitions(**place)["Partitions"] == []
    glue.delete_table(DatabaseName="proof", Name="t")
    glue.create_table(DatabaseName="proof", TableInput=table)
    glue.batch_delete_table(DatabaseName="proof", TablesToDelete=["t"])
    assert glue.get_tables(DatabaseName="proof")["TableList"] == []
    glue.delete_database(Name="proof")


@proves("iam")
def roles_and_policies(iam: Any, _: Any) -> None:
    role, profile = {"RoleName": "proof"}, {"InstanceProfileName": "proof"}
    iam.create_role(**role, AssumeRolePolicyDocument=TRUST)
    assert iam.get_role(**role)["Role"]["RoleName"] == "proof"
    assert "proof" in [found["RoleName"] for found in iam.list_roles()["Roles"]]
    policy = iam.create_policy(PolicyName="proof", PolicyDocument=POLICY)["Policy"]
    arn = {"PolicyArn": policy["Arn"]}
    assert iam.get_policy(**arn)["Policy"]["PolicyName"] == "proof"
    version = iam.get_policy_version(**arn, VersionId=policy["DefaultVersionId"])
    assert version["PolicyVersion"]["Document"] == json.loads(POLICY)
    assert "proof" in [found["PolicyName"] for found in iam.list_policies(Scope="Local")["Policies"]]
    iam.attach_role_policy(**role, **arn)
    assert len(iam.list_attached_role_policies(**role)["AttachedPolicies"]) == 1
    iam.detach_role_policy(**role, **arn)
    iam.delete_policy(**arn)
    iam.put_role_policy(**role, PolicyName="inline", PolicyDocument=POLICY)
    assert iam.list_role_policies(**role)["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(**role, PolicyName="inline")["PolicyDocument"] == json.loads(POLICY)
    iam.delete_role_policy(**role, PolicyName="inline")
    iam.create_instance_profile(**profile)
    iam.add_role_to_instance_profile(**profile, **role)
    assert len(iam.get_instance_profile(**profile)["InstanceProfile"]["Roles"]) == 1
    assert iam.list_instance_profiles()["InstanceProfiles"]
    iam.remove_role_from_instance_profile(**profile, **role)
    iam.delete_instance_profile(**profile)
    iam.delete_role(**role)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(**role)


@proves("logs")
def log_events(logs: Any, _: Any) -> None:
    group, stream = {"logGroupName": "/proof"}, {"logStreamName": "s"}
    logs.create_log_group(**group)
    logs.create_log_stream(**group, **stream)
    event = {"timestamp": int(time.time() * 1000), "message": "said"}
    logs.put_log_events(**group, **stream, logEvents=[event])
    assert [found["message"] for found in logs.get_log_events(**group, **stream)["events"]] == ["said"]
    assert [found["message"] for found in logs.filter_log_events(**group)["events"]] == ["said"]
    assert logs.describe_log_groups(logGroupNamePrefix="/proof")["logGroups"]
    assert logs.describe_log_streams(**group)["logStreams"][0]["logStreamName"] == "s"
    logs.delete_log_stream(**group, **stream)
    logs.delete_log_group(**group)
    assert logs.describe_log_groups(logGroupNamePrefix="/proof")["logGroups"] == []


@proves("secretsmanager")
def secrets(secrets_manager: Any, _: Any) -> None:
    name = {"SecretId": "proof"}
    secrets_manager.create_secret(Name="proof", SecretString="one")
    secrets_manager.put_secret_value(**name, SecretString="two")
    assert secrets_manager.get_secret_value(**name)["SecretString"] == "two"
    secrets_manager.update_secret(**name, SecretString="three")
    assert secrets_manager.get_secret_value(**name)["SecretString"] == "three"
    assert secrets_manager.describe_secret(**name)["Name"] == "proof"
    assert secrets_manager.list_secret_version_ids(**name)["Versions"]
    assert "proof" in [found["Name"] for found in secrets_manager.list_secrets()["SecretList"]]
    secrets_manager.delete_secret(**name)
    with pytest.raises(ClientError, match="InvalidRequestException"):
        secrets_manager.get_secret_value(**name)
    secrets_manager.restore_secret(**name)
    secrets_manager.delete_secret(**name, ForceDeleteWithoutRecovery=True)


@proves("sns")
def topics(sns: Any, server: Any) -> None:
    sqs = server.client("sqs")
    topic = {"TopicArn": sns.create_topic(Name="proof")["TopicArn"]}
    queue = sqs.create_queue(QueueName="of-topic")["QueueUrl"]
    wanted = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    subscription = sns.subscribe(**topic, Protocol="sqs", Endpoint=wanted["Attributes"]["QueueArn"])
    arn = {"SubscriptionArn": subscription["SubscriptionArn"]}
    assert sns.get_subscription_attributes(**arn)["Attributes"]["TopicArn"] == topic["TopicArn"]
    assert topic["TopicArn"] in [found["TopicArn"] for found in sns.list_topics()["Topics"]]
    assert sns.list_subscriptions()["Subscriptions"]
    assert len(sns.list_subscriptions_by_topic(**topic)["Subscriptions"]) == 1
    sns.set_topic_attributes(**topic, AttributeName="DisplayName", AttributeValue="shown")
    assert sns.get_topic_attributes(**topic)["Attributes"]["DisplayName"] == "shown"
    sns.publish(**topic, Message="one")
    sns.publish_batch(**topic, PublishBatchRequestEntries=[{"Id": "1", "Message": "two"}])
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert sorted(json.loads(found["Body"])["Message"] for found in messages) == ["one", "two"]
    sns.unsubscribe(**arn)
    sns.delete_topic(**topic)
    sqs.delete_queue(QueueUrl=queue)


@proves("sqs")
def queues(sqs: Any, server: Any) -> None:
    queue = {"QueueUrl": sqs.create_queue(QueueName="proof")["QueueUrl"]}
    assert queue["QueueUrl"] == f"{server.endpoint}/123456789012/proof"
    assert sqs.get_queue_url(QueueName="proof")["QueueUrl"] == queue["QueueUrl"]
    assert queue["QueueUrl"] in sqs.list_queues()["QueueUrls"]
    sqs.set_queue_attributes(**queue, Attributes={"VisibilityTimeout": "7"})
    found = sqs.get_queue_attributes(**queue, AttributeNames=["VisibilityTimeout"])
    assert found["Attributes"] == {"VisibilityTimeout": "7"}
    sqs.send_message(**queue, MessageBody="one")
    sqs.send_message_batch(**queue, Entries=[{"Id": "1", "MessageBody": "two"}])
    (first,) = sqs.receive_message(**queue, MaxNumberOfMessages=1)["Messages"]
    receipt = {"ReceiptHandle": first["ReceiptHandle"]}
    sqs.change_message_visibility(**queue, **receipt, VisibilityTimeout=0)
    messages = sqs.receive_message(**queue, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in messages) == ["one", "two"]
    sqs.delete_message(**queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    entries = [{"Id": "1", "ReceiptHandle": messages[1]["ReceiptHandle"]}]
    assert sqs.delete_message_batch(**queue, Entries=entries)["Successful"]
    sqs.send_message(**queue, MessageBody="three")
    sqs.purge_queue(**queue)
    assert "Messages" not in sqs.receive_message(**queue)
    sqs.delete_queue(**queue)


@proves("ssm")
def parameters(ssm: Any, _: Any) -> None:
    for value in ("1", "2"):
        ssm.put_parameter(Name="/proof/a", Value=value, Type="String", Overwrite=True)
    assert ssm.get_parameter(Name="/proof/a")["Parameter"]["Value"] == "2"
    assert len(ssm.get_parameters(Names=["/proof/a"])["Parameters"]) == 1
    assert len(ssm.get_parameters_by_path(Path="/proof")["Parameters"]) == 1
    history = ssm.get_parameter_history(Name="/proof/a")["Parameters"]
    assert [found["Value"] for found in history] == ["1", "2"]
    assert "/proof/a" in [found["Name"] for found in ssm.describe_parameters()["Parameters"]]
    ssm.put_parameter(Name="/proof/b", Value="3", Type="String")
    assert ssm.delete_parameters(Names=["/proof/b"])["DeletedParameters"] == ["/proof/b"]
    ssm.delete_parameter(Name="/proof/a")
    with pytest.raises(ClientError, match="ParameterNotFound"):
        ssm.get_parameter(Name="/proof/a")


@pytest.mark.parametrize("service", sorted(ALLOWED))
def test_each_operation_that_moto_may_answer_keeps_its_promise(shared_local_aws: Any, service: str) -> None:
    TESTED[service](shared_local_aws.client(service), shared_local_aws)
    unproven = {name for name in ALLOWED[service] if (service, name) not in RECORDER.proven}
    assert not unproven


@pytest.mark.parametrize("protocol", ["email", "https", "lambda", "sms"])
def test_a_subscription_that_would_get_no_message_is_refused(shared_local_aws: Any, protocol: str) -> None:
    sns = shared_local_aws.client("sns")
    topic = sns.create_topic(Name="refuses")["TopicArn"]
    with pytest.raises(ClientError, match=rf"sns:Subscribe: for the protocol {protocol}"):
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint="someone@example.com")
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    with pytest.raises(ClientError, match="sns:Publish: to a phone number"):
        sns.publish(PhoneNumber="+15550100", Message="hello")


def test_a_long_poll_of_a_queue_holds_nobody_up(shared_local_aws: Any) -> None:
    sqs, ssm = shared_local_aws.client("sqs"), shared_local_aws.client("ssm")
    queue = sqs.create_queue(QueueName="long-poll")["QueueUrl"]
    found: list[dict[str, Any]] = []

    def poll() -> None:
        client = shared_local_aws.client("sqs")
        found.append(client.receive_message(QueueUrl=queue, WaitTimeSeconds=20))

    began = time.monotonic()
    poller = threading.Thread(target=poll)
    poller.start()
    time.sleep(0.5)
    ssm.describe_parameters()
    assert time.monotonic() - began < 15
    sqs.send_message(QueueUrl=queue, MessageBody="arrived")
    poller.join(18)
    assert [message["Body"] for message in found[0]["Messages"]] == ["arrived"]


def test_a_wait_without_a_message_ends_in_its_time(shared_local_aws: Any) -> None:
    sqs = shared_local_aws.client("sqs")
    queue = sqs.create_queue(QueueName="no-message", Attributes={"ReceiveMessageWaitTimeSeconds": "1"})
    for wait in ({"WaitTimeSeconds": 1}, {}):
        began = time.monotonic()
        assert "Messages" not in sqs.receive_message(QueueUrl=queue["QueueUrl"], **wait)
        assert time.monotonic() - began >= 0.9
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        sqs.receive_message(QueueUrl=queue["QueueUrl"], WaitTimeSeconds=21)
