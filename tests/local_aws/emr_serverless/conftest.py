"""An application and a way to run a few lines of shell as its job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until

ROLE = "arn:aws:iam::123456789012:role/nexus-llm-emr-serverless"
ENDED = ("SUCCESS", "FAILED", "CANCELLED")


class Jobs:
    """Job runs on one server."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.client = server.client("emr-serverless")
        self.folder = folder

    def application(self, **more: Any) -> str:
        request = {"name": "spark", "releaseLabel": "emr-7.10.0", "type": "SPARK"}
        return str(self.client.create_application(**request, **more)["applicationId"])

    def submit(self, application: str, script: str, *arguments: str, **more: Any) -> str:
        path = self.folder / f"{abs(hash(script))}.sh"
        path.write_text(script)
        driver = {"entryPoint": str(path), "entryPointArguments": list(arguments)}
        driver |= {"sparkSubmitParameters": more.pop("parameters", "--conf a=b")}
        answer = self.client.start_job_run(
            applicationId=application, executionRoleArn=ROLE, jobDriver={"sparkSubmit": driver}, **more
        )
        return str(answer["jobRunId"])

    def run(self, application: str, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
        return found

    def until(self, application: str, run: str, *states: str) -> dict[str, Any]:
        return wait_until(lambda: self.run(application, run), lambda found: found["state"] in states)

    def state(self, application: str) -> str:
        return str(self.client.get_application(applicationId=application)["application"]["state"])


@pytest.fixture
def jobs_on(tmp_path: Path) -> Callable[[Any], Jobs]:
    return lambda server: Jobs(server, tmp_path)


@pytest.fixture
def jobs(quick_local_aws: Any, jobs_on: Callable[[Any], Jobs]) -> Jobs:
    return jobs_on(quick_local_aws)
