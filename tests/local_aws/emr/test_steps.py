"""Steps really run, in turn, and what follows a failure is what ActionOnFailure says."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import LocalAws
from tests.support.waiting import wait_until


def of(emr: Any, cluster: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in emr.list_steps(ClusterId=cluster)["Steps"] if s["Name"] == name)
    return found


def test_steps_run_one_after_the_other_and_ship_their_logs(
    emr: Any, s3: Any, cluster: Any, step: Any, states: Any
) -> None:
    first = step("first", "sh", "-c", "echo out; echo err >&2")
    name = cluster(first, step("second", "true"))
    assert states(name) == {"first": "COMPLETED", "second": "COMPLETED"}
    one, two = of(emr, name, "first")["Status"]["Timeline"], of(emr, name, "second")["Status"]["Timeline"]
    assert one["EndDateTime"] <= two["StartDateTime"]
    prefix = f"logs/{name}/steps/{of(emr, name, 'first')['Id']}"
    for part, text in (("stdout", b"out\n"), ("stderr", b"err\n")):
        body = s3.get_object(Bucket="emr", Key=f"{prefix}/{part}.gz")["Body"].read()
        assert gzip.decompress(body) == text


def test_steps_can_be_added_to_a_waiting_cluster_and_described(emr: Any, cluster: Any, step: Any) -> None:
    name = cluster()
    late = step("late", "echo", "hello")
    (added,) = emr.add_job_flow_steps(JobFlowId=name, Steps=[late])["StepIds"]
    described = wait_until(
        lambda: emr.describe_step(ClusterId=name, StepId=added)["Step"],
        lambda found: found["Status"]["State"] == "COMPLETED",
    )
    assert (described["Id"], described["Name"]) == (added, "late")
    assert described["Config"]["Args"] == late["HadoopJarStep"]["Args"]


def test_a_failure_shows_the_last_lines_of_stderr_and_the_log(
    emr: Any, cluster: Any, step: Any, states: Any
) -> None:
    name = cluster(step("bad", "sh", "-c", "echo 'KeyError: text' >&2; exit 3"), step("next", "true"))
    assert states(name) == {"bad": "FAILED", "next": "COMPLETED"}
    failure = of(emr, name, "bad")["Status"]["FailureDetails"]
    assert "code 3" in failure["Reason"] and failure["Message"] == "KeyError: text"
    assert failure["LogFile"] == f"s3://emr/logs/{name}/steps/{of(emr, name, 'bad')['Id']}/stderr.gz"


def test_a_missing_log_bucket_leaves_the_outcome_of_a_step_and_is_said(
    shared_local_aws: LocalAws, emr: Any, cluster: Any, step: Any, states: Any
) -> None:
    name = cluster(step("good", "true"), step("bad", "false"), LogUri="s3://no-logs-here/x/")
    assert states(name) == {"good": "COMPLETED", "bad": "FAILED"}
    place = f"s3://no-logs-here/x/{name}/steps/{of(emr, name, 'good')['Id']}/stdout.gz"
    assert place in shared_local_aws.log.read_text()


def test_a_step_that_cannot_be_started_fails_with_the_reason_and_the_next_one_runs(
    tmp_path: Path, step: Any
) -> None:
    # a Spark environment whose Python ends with an error when it is asked where Spark lies
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to("/bin/false")
    (tmp_path / "images.toml").write_text(f'[emr]\nvenv = "{tmp_path / "venv"}"\n')
    server = LocalAws(tmp_path / "aws", "--images", str(tmp_path / "images.toml"))
    server.start()
    try:
        emr = server.client("emr")
        name = emr.run_job_flow(
            Name="c",
            Instances={
                "KeepJobFlowAliveWhenNoSteps": True,
                "MasterInstanceType": "m5.xlarge",
                "InstanceCount": 1,
            },
            Steps=[step("spark", "spark-submit", "job.py"), step("next", "true")],
        )["JobFlowId"]
        wait_until(
            lambda: of(emr, name, "next")["Status"]["State"], lambda state: state == "COMPLETED", seconds=20
        )
        status = of(emr, name, "spark")["Status"]
        assert status["State"] == "FAILED"
        assert status["FailureDetails"]["Reason"].startswith("CalledProcessError: ")
        assert "returned non-zero exit status 1" in status["FailureDetails"]["Reason"]
    finally:
        server.end()


def test_cancel_and_wait_cancels_what_is_pending_and_keeps_the_cluster(
    emr: Any, cluster: Any, step: Any, states: Any
) -> None:
    name = cluster(step("bad", "false", on_failure="CANCEL_AND_WAIT"), step("next", "true"))
    assert states(name) == {"bad": "FAILED", "next": "CANCELLED"}
    wait_until(
        lambda: emr.describe_cluster(ClusterId=name)["Cluster"]["Status"]["State"], lambda s: s == "WAITING"
    )


def test_terminate_cluster_ends_it_with_errors(emr: Any, cluster: Any, step: Any, states: Any) -> None:
    name = cluster(step("bad", "false", on_failure="TERMINATE_CLUSTER"), step("next", "true"))
    assert states(name) == {"bad": "FAILED", "next": "CANCELLED"}
    status = wait_until(
        lambda: emr.describe_cluster(ClusterId=name)["Cluster"]["Status"],
        lambda status: status["State"].startswith("TERMINATED"),
    )
    assert (
        status["State"] == "TERMINATED_WITH_ERRORS" and status["StateChangeReason"]["Code"] == "STEP_FAILURE"
    )


def test_step_concurrency_runs_steps_side_by_side(
    emr: Any, cluster: Any, step: Any, states: Any, tmp_path: Any
) -> None:
    # each waits for the other: one after the other they would never end
    meet = "touch {0}/{1}; while [ ! -e {0}/{2} ]; do sleep 0.05; done"
    one = step("one", "sh", "-c", meet.format(tmp_path, "one", "two"))
    two = step("two", "sh", "-c", meet.format(tmp_path, "two", "one"))
    assert set(states(cluster(one, two, StepConcurrencyLevel=2)).values()) == {"COMPLETED"}


def test_running_and_pending_steps_can_be_cancelled(emr: Any, cluster: Any, step: Any, states: Any) -> None:
    name = cluster(step("runs", "sleep", "60"), step("waits", "true"))
    wait_until(lambda: of(emr, name, "runs")["Status"]["State"], lambda state: state == "RUNNING")
    ids = [of(emr, name, n)["Id"] for n in ("waits", "runs")]
    answers = emr.cancel_steps(ClusterId=name, StepIds=ids)["CancelStepsInfoList"]
    assert [answer["Status"] for answer in answers] == ["SUBMITTED", "SUBMITTED"]
    assert states(name) == {"runs": "CANCELLED", "waits": "CANCELLED"}
    again = emr.cancel_steps(ClusterId=name, StepIds=ids[:1])["CancelStepsInfoList"][0]
    assert again["Status"] == "FAILED" and "CANCELLED" in again["Reason"]


def test_a_release_before_5_28_cancels_pending_steps_only(
    emr: Any, cluster: Any, step: Any, states: Any
) -> None:
    name = cluster(step("runs", "sleep", "5"), step("waits", "true"), ReleaseLabel="emr-5.27.0")
    wait_until(lambda: of(emr, name, "runs")["Status"]["State"], lambda state: state == "RUNNING")
    ids = [of(emr, name, n)["Id"] for n in ("waits", "runs")]
    answers = emr.cancel_steps(ClusterId=name, StepIds=ids)["CancelStepsInfoList"]
    assert [answer["Status"] for answer in answers] == ["SUBMITTED", "FAILED"]
    assert "RUNNING" in answers[1]["Reason"]
    assert states(name) == {"runs": "COMPLETED", "waits": "CANCELLED"}


def test_terminating_interrupts_the_running_step(emr: Any, cluster: Any, step: Any, states: Any) -> None:
    name = cluster(step("runs", "sleep", "60"))
    wait_until(lambda: of(emr, name, "runs")["Status"]["State"], lambda state: state == "RUNNING")
    emr.terminate_job_flows(JobFlowIds=[name])
    assert states(name) == {"runs": "INTERRUPTED"}
    wait_until(
        lambda: emr.describe_cluster(ClusterId=name)["Cluster"]["Status"]["State"],
        lambda s: s == "TERMINATED",
    )
    with pytest.raises(ClientError, match="shutting down"):
        emr.add_job_flow_steps(JobFlowId=name, Steps=[step("late", "true")])


def test_a_cluster_that_need_not_be_kept_ends_with_its_last_step(emr: Any, cluster: Any, step: Any) -> None:
    name = cluster(step("first", "sleep", "1"), step("last", "sleep", "1"), keep=False)
    status = wait_until(
        lambda: emr.describe_cluster(ClusterId=name)["Cluster"]["Status"],
        lambda s: s["State"] == "TERMINATED",
    )
    assert status["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert [of(emr, name, each)["Status"]["State"] for each in ("first", "last")] == ["COMPLETED"] * 2


def test_an_idle_cluster_ends_after_its_idle_time_which_begins_with_its_last_step(
    emr: Any, cluster: Any, step: Any
) -> None:
    name = cluster(step("longer", "sleep", "3"), AutoTerminationPolicy={"IdleTimeout": 1})
    found = wait_until(
        lambda: emr.describe_cluster(ClusterId=name)["Cluster"]["Status"],
        lambda status: status["State"] == "TERMINATED",
    )
    last = of(emr, name, "longer")["Status"]
    assert last["State"] == "COMPLETED"
    idle = found["Timeline"]["EndDateTime"] - last["Timeline"]["EndDateTime"]
    assert idle.total_seconds() >= 0.9


def test_a_protected_cluster_cannot_be_terminated(emr: Any, cluster: Any) -> None:
    name = cluster()
    emr.set_termination_protection(JobFlowIds=[name], TerminationProtected=True)
    with pytest.raises(ClientError, match="termination protected"):
        emr.terminate_job_flows(JobFlowIds=[name])
    assert emr.describe_cluster(ClusterId=name)["Cluster"]["TerminationProtected"]


def test_a_jar_that_is_not_run_here_is_refused_by_name(emr: Any, cluster: Any) -> None:
    jar = {"Name": "x", "HadoopJarStep": {"Jar": "s3://emr/x.jar"}}
    with pytest.raises(ClientError, match=r"s3://emr/x\.jar"):
        emr.add_job_flow_steps(JobFlowId=cluster(), Steps=[jar])


def test_instances_are_those_of_the_request(emr: Any, cluster: Any) -> None:
    name = cluster(Tags=[{"Key": "run", "Value": "r1"}])
    wait_until(
        lambda: emr.describe_cluster(ClusterId=name)["Cluster"]["Status"]["State"], lambda s: s == "WAITING"
    )
    groups = emr.list_instance_groups(ClusterId=name)["InstanceGroups"]
    assert [(g["InstanceGroupType"], g["RunningInstanceCount"]) for g in groups] == [
        ("MASTER", 1),
        ("CORE", 2),
    ]
    assert len(emr.list_instances(ClusterId=name, InstanceGroupTypes=["CORE"])["Instances"]) == 2
    core = next(g["Id"] for g in groups if g["InstanceGroupType"] == "CORE")
    assert len(emr.list_instances(ClusterId=name, InstanceGroupId=core)["Instances"]) == 2
    assert len(emr.list_instances(ClusterId=name, InstanceStates=["RUNNING"])["Instances"]) == 3
    assert emr.list_instances(ClusterId=name, InstanceStates=["TERMINATED"])["Instances"] == []
    assert emr.list_instance_fleets(ClusterId=name)["InstanceFleets"] == []
    assert emr.list_bootstrap_actions(ClusterId=name)["BootstrapActions"] == []
    assert name in [c["Id"] for c in emr.list_clusters(ClusterStates=["WAITING"])["Clusters"]]
    assert emr.describe_cluster(ClusterId=name)["Cluster"]["Tags"] == [{"Key": "run", "Value": "r1"}]


def test_a_running_step_is_adopted_after_kill_9(local_aws_server: Any, step: Any, tmp_path: Any) -> None:
    emr = local_aws_server.client("emr")
    gate = f"while [ ! -e {tmp_path}/gate ]; do sleep 0.05; done"
    name = emr.run_job_flow(
        Name="c",
        Instances={
            "KeepJobFlowAliveWhenNoSteps": True,
            "MasterInstanceType": "m5.xlarge",
            "InstanceCount": 1,
        },
        Steps=[step("waits", "sh", "-c", gate), step("then", "true")],
    )["JobFlowId"]
    wait_until(lambda: list(local_aws_server.root.rglob("spec.json")), bool)
    local_aws_server.kill()
    local_aws_server.start()
    # killed between the start of the process and its note, the step is PENDING until it is adopted
    wait_until(lambda: of(emr, name, "waits")["Status"]["State"], lambda state: state == "RUNNING")
    (tmp_path / "gate").touch()
    wait_until(
        lambda: {s["Name"]: s["Status"]["State"] for s in emr.list_steps(ClusterId=name)["Steps"]},
        lambda states: states == {"waits": "COMPLETED", "then": "COMPLETED"},
    )


def test_a_step_shows_the_role_that_it_was_added_with(emr: Any, cluster: Any, step: Any) -> None:
    name, role = cluster(), "arn:aws:iam::123456789012:role/runtime"
    (added,) = emr.add_job_flow_steps(
        JobFlowId=name, Steps=[step("has-role", "true")], ExecutionRoleArn=role
    )["StepIds"]
    assert emr.describe_step(ClusterId=name, StepId=added)["Step"]["ExecutionRoleArn"] == role
