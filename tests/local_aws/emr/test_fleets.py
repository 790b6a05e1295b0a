"""Instance fleets and managed scaling: kept, checked and shown as EMR does; the steps run all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

MASTER = {
    "InstanceFleetType": "MASTER",
    "TargetOnDemandCapacity": 1,
    "InstanceTypeConfigs": [{"InstanceType": "m5.xlarge"}],
}
TASK = {
    "Name": "task",
    "InstanceFleetType": "TASK",
    "TargetSpotCapacity": 3,
    "InstanceTypeConfigs": [
        {"InstanceType": kind, "WeightedCapacity": 1} for kind in ("r6i.4xlarge", "r7a.4xlarge")
    ],
    "LaunchSpecifications": {
        "SpotSpecification": {
            "TimeoutAction": "SWITCH_TO_ON_DEMAND",
            "TimeoutDurationMinutes": 20,
            "AllocationStrategy": "price-capacity-optimized",
        }
    },
}
POLICY = {
    "ComputeLimits": {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": 1,
        "MaximumCapacityUnits": 9,
        "MaximumCoreCapacityUnits": 1,
    }
}


@pytest.fixture
def fleet_cluster(emr: Any) -> Iterator[Callable[..., str]]:
    started: list[str] = []

    def run(*fleets: dict[str, Any], **more: Any) -> str:
        instances = {"KeepJobFlowAliveWhenNoSteps": True, "InstanceFleets": list(fleets)}
        instances["Ec2SubnetIds"] = ["subnet-a", "subnet-b"]
        answer = emr.run_job_flow(Name="fleets", Instances=instances, ReleaseLabel="emr-7.10.0", **more)
        started.append(answer["JobFlowId"])
        return started[-1]

    yield run
    emr.terminate_job_flows(JobFlowIds=started)


def test_fleets_are_shown_as_they_were_asked_for_and_steps_run(
    emr: Any, fleet_cluster: Any, step: Any, states: Any
) -> None:
    name = fleet_cluster(MASTER, TASK, Steps=[step("one", "true")])
    assert states(name) == {"one": "COMPLETED"}
    cluster = emr.describe_cluster(ClusterId=name)["Cluster"]
    assert cluster["InstanceCollectionType"] == "INSTANCE_FLEET"
    assert cluster["Ec2InstanceAttributes"]["RequestedEc2SubnetIds"] == ["subnet-a", "subnet-b"]
    fleets = {f["InstanceFleetType"]: f for f in emr.list_instance_fleets(ClusterId=name)["InstanceFleets"]}
    assert fleets["TASK"]["ProvisionedSpotCapacity"] == 3
    assert fleets["TASK"]["LaunchSpecifications"] == TASK["LaunchSpecifications"]
    types = [spec["InstanceType"] for spec in fleets["TASK"]["InstanceTypeSpecifications"]]
    assert types == ["r6i.4xlarge", "r7a.4xlarge"]
    found = emr.list_instances(ClusterId=name, InstanceFleetType="TASK")["Instances"]
    assert {i["Market"] for i in found} == {"SPOT"} and len(found) == 3
    assert {i["InstanceType"] for i in found} == set(types)
    assert {i["InstanceFleetId"] for i in found} == {fleets["TASK"]["Id"]}
    assert emr.list_instances(ClusterId=name, InstanceFleetId=fleets["TASK"]["Id"])["Instances"] == found


def test_a_scaling_policy_is_put_read_and_removed(emr: Any, fleet_cluster: Any) -> None:
    name = fleet_cluster(MASTER, TASK, ManagedScalingPolicy=POLICY)
    assert emr.get_managed_scaling_policy(ClusterId=name)["ManagedScalingPolicy"] == POLICY
    wider = {"ComputeLimits": POLICY["ComputeLimits"] | {"MaximumCapacityUnits": 20}}
    emr.put_managed_scaling_policy(ClusterId=name, ManagedScalingPolicy=wider)
    assert emr.get_managed_scaling_policy(ClusterId=name)["ManagedScalingPolicy"] == wider
    emr.remove_managed_scaling_policy(ClusterId=name)
    assert "ManagedScalingPolicy" not in emr.get_managed_scaling_policy(ClusterId=name)


@pytest.mark.parametrize(
    ("fleets", "policy", "named"),
    [
        ([TASK], None, "master"),
        ([MASTER, MASTER], None, "at most one"),
        ([MASTER | {"TargetOnDemandCapacity": 3}], None, "MASTER"),
        ([MASTER, TASK | {"TargetSpotCapacity": 0}], None, "TASK"),
        ([MASTER], {"UnitType": "Instances"}, "does not fit"),
        ([MASTER], {"MinimumCapacityUnits": 30}, "contradict"),
        ([MASTER], {"MaximumCoreCapacityUnits": 30}, "MaximumCoreCapacityUnits"),
    ],
)
def test_what_emr_would_refuse_is_refused_by_name(
    fleet_cluster: Any, fleets: list[Any], policy: dict[str, Any] | None, named: str
) -> None:
    more = {"ManagedScalingPolicy": {"ComputeLimits": POLICY["ComputeLimits"] | policy}} if policy else {}
    with pytest.raises(ClientError, match=rf"ValidationException.*{named}"):
        fleet_cluster(*fleets, **more)
