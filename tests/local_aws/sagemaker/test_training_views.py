"""The description of a training job, from its row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.resources import Resource, ResourceTable
from local_aws.sagemaker.interruptions import KIND
from local_aws.sagemaker.training import TrainingJobs


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ResourceTable]:
    made = ResourceTable(tmp_path / "jobs.sqlite")
    yield made
    made.close()


def described(table: ResourceTable, **detail: Any) -> dict[str, Any]:
    detail |= {
        "transitions": [{"Status": "Starting"}, {"Status": "Training"}],
        "metrics": {"loss": (1.5, 7.0)},
    }
    table.insert(Resource(KIND, "job", "InProgress", {"RoleArn": "role"}, detail))
    world: Any = SimpleNamespace(table=table)
    interruptions: Any = None
    return TrainingJobs(world, interruptions).describe({"TrainingJobName": "job"})


def test_the_time_between_two_attempts_is_not_billed(table: ResourceTable) -> None:
    job = described(table, started=100.0, ended=240.0, active=[(100.0, 130.5), (200.0, None)])
    assert (job["TrainingStartTime"], job["TrainingEndTime"]) == (100.0, 240.0)
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (140, 71)
    assert job["SecondaryStatus"] == "Training"
    assert job["FinalMetricDataList"] == [{"MetricName": "loss", "Value": 1.5, "Timestamp": 7.0}]


def test_a_job_of_a_moment_is_billed_for_a_second(table: ResourceTable) -> None:
    job = described(table, started=100.0, ended=100.0, active=[(100.0, 100.0)])
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (1, 1)


def test_a_job_that_has_not_started_has_no_times_and_a_long_reason_is_cut(table: ResourceTable) -> None:
    job = described(table, active=[], reason="r" * 2000)
    assert not {"TrainingStartTime", "TrainingTimeInSeconds", "BillableTimeInSeconds"} & job.keys()
    assert job["FailureReason"] == "r" * 1024
