"""Alarms move by the data that arrives, and say so to their topics; logs come back in order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.logs_metrics.alarms import Rule, judge, statistic
from tests.support.waiting import wait_until

ABOVE = "GreaterThanThreshold"


@pytest.mark.parametrize(
    ("points", "needed", "missing", "state"),
    [
        ([9, 9, 9], 3, "missing", "ALARM"),
        ([9, 1, 9], 3, "missing", "OK"),
        ([9, 1, 9], 2, "missing", "ALARM"),
        ([None, None, None], 1, "missing", "INSUFFICIENT_DATA"),
        ([None, None, None], 3, "breaching", "ALARM"),
        ([None, None, None], 1, "notBreaching", "OK"),
        ([None, None, None], 1, "ignore", "before"),
        ([9, None, None], 2, "missing", "OK"),
        ([9, None, None], 2, "breaching", "ALARM"),
        ([9, None, None], 1, "ignore", "ALARM"),
    ],
)
def test_the_state_follows_from_the_data_points(points: Any, needed: int, missing: str, state: str) -> None:
    assert judge(Rule(ABOVE, 5.0, 3, needed, missing), points, "before") == state


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_statistics_lie_between_the_extremes(values: list[float]) -> None:
    low, high = statistic("Minimum", values), statistic("Maximum", values)
    assert low <= statistic("p50", values) <= high
    assert low - 1e-6 <= statistic("Average", values) <= high + 1e-6
    assert statistic("SampleCount", values) == len(values)


def alarm(cloudwatch: Any, name: str, **more: Any) -> Any:
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="Nexus", MetricName=name, Period=60, EvaluationPeriods=1, Threshold=5.0,
        ComparisonOperator=ABOVE, Statistic="Maximum", **more,
    )  # fmt: skip
    return lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


def test_an_alarm_goes_off_and_tells_its_topic(shared_local_aws: Any) -> None:
    cloudwatch, sns, sqs = (shared_local_aws.client(name) for name in ("cloudwatch", "sns", "sqs"))
    queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    state = alarm(cloudwatch, "errors", AlarmActions=[topic])
    wait_until(state, lambda s: s == "INSUFFICIENT_DATA")
    cloudwatch.put_metric_data(Namespace="Nexus", MetricData=[{"MetricName": "errors", "Value": 9.0}])
    wait_until(state, lambda s: s == "ALARM")
    messages = wait_until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages", []), bool)
    assert "errors" in messages[0]["Body"] and "ALARM" in messages[0]["Body"]


class Inbox:
    """A queue that is subscribed to topics."""

    def __init__(self, server: Any) -> None:
        self._sns, self._sqs = server.client("sns"), server.client("sqs")
        self._url = self._sqs.create_queue(QueueName="inbox")["QueueUrl"]
        names = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self._arn = names["Attributes"]["QueueArn"]

    def topic(self, name: str) -> str:
        made = str(self._sns.create_topic(Name=name)["TopicArn"])
        self._sns.subscribe(TopicArn=made, Protocol="sqs", Endpoint=self._arn)
        return made

    def next(self) -> tuple[str, str, str, str]:
        """Return topic, subject, state and state before of the next message."""
        [message] = wait_until(
            lambda: self._sqs.receive_message(QueueUrl=self._url).get("Messages", []), bool
        )
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        body = json.loads(message["Body"])
        told = json.loads(body["Message"])
        topic = body["TopicArn"].rpartition(":")[2]
        return topic, body["Subject"], told["NewStateValue"], told["OldStateValue"]


def test_each_state_is_told_to_its_own_topics(local_aws_server: Any) -> None:
    cloudwatch, inbox = local_aws_server.client("cloudwatch"), Inbox(local_aws_server)
    known = {name: inbox.topic(name) for name in ("bad", "good", "unknown")}
    cloudwatch.put_metric_alarm(
        AlarmName="low", Namespace="Nexus", MetricName="low", Period=60, EvaluationPeriods=1, Threshold=5.0,
        ComparisonOperator=ABOVE, Statistic="Minimum", AlarmActions=[known["bad"]],
        OKActions=[known["good"]], InsufficientDataActions=[known["unknown"]],
    )  # fmt: skip
    cloudwatch.put_metric_data(Namespace="Nexus", MetricData=[{"MetricName": "low", "Value": 9.0}])
    topic, subject, state, _ = inbox.next()
    assert (topic, subject, state) == ("bad", "ALARM: low", "ALARM")
    cloudwatch.put_metric_data(Namespace="Nexus", MetricData=[{"MetricName": "low", "Value": 1.0}])
    assert inbox.next() == ("good", "OK: low", "OK", "ALARM")
    local_aws_server.control("clock", {"advance_seconds": 120})
    assert inbox.next() == ("unknown", "INSUFFICIENT_DATA: low", "INSUFFICIENT_DATA", "OK")


def test_actions_that_reach_nobody_do_not_keep_the_others_from_it(local_aws_server: Any) -> None:
    cloudwatch, inbox = local_aws_server.client("cloudwatch"), Inbox(local_aws_server)
    topic = inbox.topic("errors")
    gone, function = f"{topic}-deleted", "arn:aws:lambda:us-east-1:123456789012:function:f"
    states = [
        alarm(cloudwatch, "silent", ActionsEnabled=False, AlarmActions=[topic]),
        alarm(cloudwatch, "told", AlarmActions=[function, gone, topic]),
    ]
    cloudwatch.put_metric_data(
        Namespace="Nexus", MetricData=[{"MetricName": name, "Value": 9.0} for name in ("silent", "told")]
    )
    for state in states:
        wait_until(state, lambda s: s == "ALARM")
    assert inbox.next()[1] == "ALARM: told"


def test_the_same_metric_of_another_namespace_is_another_metric(shared_local_aws: Any) -> None:
    cloudwatch = shared_local_aws.client("cloudwatch")
    other = cloudwatch.put_metric_data
    other(Namespace="Other", MetricData=[{"MetricName": "spaces", "Value": 9.0}])
    state = alarm(cloudwatch, "spaces", TreatMissingData="notBreaching")
    wait_until(state, lambda s: s == "OK")
    other(Namespace="Nexus", MetricData=[{"MetricName": "spaces", "Value": 9.0}])
    wait_until(state, lambda s: s == "ALARM")


def test_an_alarm_calms_down_when_its_data_ages(local_aws_server: Any) -> None:
    cloudwatch = local_aws_server.client("cloudwatch")
    state = alarm(cloudwatch, "latency", TreatMissingData="notBreaching")
    cloudwatch.put_metric_data(Namespace="Nexus", MetricData=[{"MetricName": "latency", "Value": 9.0}])
    wait_until(state, lambda s: s == "ALARM")
    local_aws_server.control("clock", {"advance_seconds": 120})
    wait_until(state, lambda s: s == "OK")


def test_dimensions_keep_metrics_apart(shared_local_aws: Any) -> None:
    cloudwatch = shared_local_aws.client("cloudwatch")
    state = alarm(
        cloudwatch,
        "by-service",
        Dimensions=[{"Name": "Service", "Value": "a"}],
        TreatMissingData="notBreaching",
    )
    wait_until(state, lambda s: s == "OK")
    other = {"MetricName": "by-service", "Value": 9.0, "Dimensions": [{"Name": "Service", "Value": "b"}]}
    mine = {"MetricName": "by-service", "Value": 1.0, "Dimensions": [{"Name": "Service", "Value": "a"}]}
    cloudwatch.put_metric_data(Namespace="Nexus", MetricData=[other, mine])
    reason = wait_until(
        lambda: cloudwatch.get_metric_statistics(
            Namespace="Nexus", MetricName="by-service", Dimensions=mine["Dimensions"], Statistics=["Maximum"],
            Period=60, StartTime=time.time() - 300, EndTime=time.time() + 60,
        )["Datapoints"],
        bool,
    )  # fmt: skip
    assert reason[0]["Maximum"] == 1.0 and state() == "OK"


def test_log_events_put_by_many_threads_all_arrive(shared_local_aws: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    logs = shared_local_aws.client("logs")
    logs.create_log_group(logGroupName="/nexus/test")
    logs.create_log_stream(logGroupName="/nexus/test", logStreamName="s")

    def put(n: int) -> None:
        events = [{"timestamp": int(time.time() * 1000), "message": f"{n}-{i}"} for i in range(5)]
        logs.put_log_events(logGroupName="/nexus/test", logStreamName="s", logEvents=events)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(10)))
    events = logs.get_log_events(logGroupName="/nexus/test", logStreamName="s", startFromHead=True)["events"]
    assert sorted(e["message"] for e in events) == sorted(f"{n}-{i}" for n in range(10) for i in range(5))
