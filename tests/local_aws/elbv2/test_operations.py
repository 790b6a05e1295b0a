"""The operations: what they refuse, what they show, what the health checks decide, what is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.elbv2 import plane
from tests.local_aws.conftest import LocalAws
from tests.local_aws.elbv2.worlds import Balancer, ask
from tests.support.ports import free_port
from tests.support.waiting import wait_until

Serving = Callable[..., list[int]]


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_what_is_not_there_has_its_own_error(elbv2: Any) -> None:
    arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:none"
    with pytest.raises(elbv2.exceptions.LoadBalancerNotFoundException):
        elbv2.describe_load_balancers(Names=["none"])
    with pytest.raises(elbv2.exceptions.TargetGroupNotFoundException):
        elbv2.describe_target_groups(Names=["none"])
    with pytest.raises(elbv2.exceptions.ListenerNotFoundException):
        elbv2.describe_listeners(ListenerArns=[arn])
    with pytest.raises(elbv2.exceptions.TargetGroupNotFoundException):
        elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": "127.0.0.1"}])


def test_a_group_in_use_is_not_deleted(balancer: Balancer) -> None:
    with pytest.raises(balancer.elbv2.exceptions.ResourceInUseException):
        balancer.elbv2.delete_target_group(TargetGroupArn=balancer.group)
    balancer.elbv2.delete_listener(ListenerArn=balancer.listener)
    balancer.elbv2.delete_target_group(TargetGroupArn=balancer.group)


def test_a_name_belongs_to_one_group(balancer: Balancer) -> None:
    assert balancer.add_group(balancer.name) == balancer.group
    with pytest.raises(balancer.elbv2.exceptions.DuplicateTargetGroupNameException):
        balancer.add_group(balancer.name, HealthCheckPath="/other")


def test_a_port_belongs_to_one_listener(balancer: Balancer) -> None:
    actions = [{"Type": "forward", "TargetGroupArn": balancer.group}]
    request = {"LoadBalancerArn": balancer.arn, "Protocol": "HTTP", "DefaultActions": actions}
    with pytest.raises(balancer.elbv2.exceptions.DuplicateListenerException):
        balancer.elbv2.create_listener(Port=balancer.port, **request)
    with (
        HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other,
        pytest.raises(ClientError, match="in use") as refused,
    ):
        balancer.elbv2.create_listener(Port=other.server_port, **request)
    assert code(refused) == "InvalidConfigurationRequest"
    assert len(balancer.elbv2.describe_listeners(LoadBalancerArn=balancer.arn)["Listeners"]) == 1


def test_a_listener_moves_to_another_port(balancer: Balancer, serving: Serving) -> None:
    serving({})
    port = free_port()
    balancer.elbv2.modify_listener(ListenerArn=balancer.listener, Port=port)
    assert ask(port)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        balancer.get()


def test_a_fixed_response_needs_no_target(balancer: Balancer) -> None:
    config = {"StatusCode": "429", "MessageBody": "later", "ContentType": "text/plain"}
    balancer.elbv2.modify_listener(
        ListenerArn=balancer.listener,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": config}],
    )
    assert balancer.get() == (429, b"later")
    rules = balancer.elbv2.describe_rules(ListenerArn=balancer.listener)["Rules"]
    assert rules[0]["Actions"][0]["FixedResponseConfig"] == config


def test_tags_can_be_added_shown_and_removed(balancer: Balancer) -> None:
    arns = [balancer.arn, balancer.group, balancer.listener]
    balancer.elbv2.add_tags(ResourceArns=arns, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    balancer.elbv2.remove_tags(ResourceArns=arns, TagKeys=["a"])
    shown = balancer.elbv2.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [d["Tags"] for d in shown] == [[{"Key": "b", "Value": "2"}]] * 3


def test_targets_of_other_machines_are_refused(balancer: Balancer) -> None:
    with pytest.raises(balancer.elbv2.exceptions.InvalidTargetException):
        balancer.elbv2.register_targets(
            TargetGroupArn=balancer.group, Targets=[{"Id": "10.0.0.1", "Port": 1}]
        )


def test_health_follows_thresholds_and_matcher(balancer: Balancer) -> None:
    balancer.elbv2.modify_target_group(TargetGroupArn=balancer.group, Matcher={"HttpCode": "200-204,299"})
    status = [204]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        port = server.server_port
        balancer.register(port)
        wait_until(balancer.states, lambda states: states == {port: "healthy"})
        status[0] = 500
        wait_until(balancer.states, lambda states: states == {port: "unhealthy"})
        described = balancer.elbv2.describe_target_health(TargetGroupArn=balancer.group)
        health = described["TargetHealthDescriptions"][0]["TargetHealth"]
        assert health["Reason"] == "Target.ResponseCodeMismatch"
        assert health["Description"] == "Health checks failed with these codes: [500]"
        assert balancer.get()[0] == 503
        status[0] = 299
        wait_until(balancer.states, lambda states: states == {port: "healthy"})
        server.shutdown()
        thread.join()


def test_requests_are_counted_in_cloudwatch(
    balancer: Balancer, serving: Serving, shared_local_aws: LocalAws
) -> None:
    assert balancer.get()[0] == 503
    serving({})
    for path in ("/", "/", "/fail"):
        balancer.get(path)
    cloudwatch = shared_local_aws.client("cloudwatch")

    def total(name: str, *arns: str) -> float:
        dimensions = [
            {"Name": key, "Value": arn.rpartition(":")[2].removeprefix("loadbalancer/")}
            for key, arn in zip(("LoadBalancer", "TargetGroup"), arns, strict=False)
        ]
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName=name,
            Dimensions=dimensions,
            StartTime=0,
            EndTime=4102444800,
            Period=86400,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in found["Datapoints"]))

    place = (balancer.arn, balancer.group)
    wait_until(lambda: total("RequestCount", *place), lambda n: n == 3, seconds=plane._FLUSH_SECONDS + 20)
    assert total("HTTPCode_Target_5XX_Count", *place) == 1
    assert total("TargetResponseTime", *place) > 0
    assert total("HTTPCode_ELB_503_Count", balancer.arn) == 1
