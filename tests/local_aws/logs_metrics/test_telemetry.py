"""The output of jobs in CloudWatch: streams that follow files, and the view of old ones after a restart."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.logs_metrics.telemetry import KIND, Telemetry
from local_aws.moto_services.handler import MotoHandler, moto_backend
from local_aws.resources import Resource, ResourceTable


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ResourceTable]:
    made = ResourceTable(tmp_path / "jobs.sqlite")
    yield made
    made.close()


@pytest.fixture
def group() -> str:
    """A group of its own: moto's streams are shared by the process."""
    return f"/test/{uuid.uuid4().hex}"


def messages(group: str, stream: str) -> list[str]:
    events = moto_backend("logs").groups[group].streams[stream].events
    return [event.message for event in events]


def old_stream(group: str, stream: str, path: Path) -> Resource:
    """Insert the row that an earlier process left."""
    return Resource(KIND, f"{group}\n{stream}", "OPEN", {"group": group, "stream": stream, "path": str(path)})


def test_the_log_of_an_ended_job_is_sent_once_after_a_restart_and_never_read_again(
    table: ResourceTable, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "output.log"
    log.write_text("first\nlast, without an end")
    table.insert(old_stream(group, "ended", log))
    telemetry = Telemetry(table, MotoHandler())
    telemetry.adopt()
    telemetry.tick()
    assert messages(group, "ended") == ["first", "last, without an end"]
    opened: list[Path] = []
    really_open = Path.open

    def noting_open(path: Path, *arguments: object, **options: object) -> object:
        opened.append(path)
        return really_open(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", noting_open)
    telemetry.tick()
    assert opened == []


def test_a_stream_that_its_job_still_follows_is_not_sent_twice_after_a_restart(
    table: ResourceTable, group: str, tmp_path: Path
) -> None:
    for stream in ("running", "just-ended"):
        (tmp_path / stream).write_text("before\n")
        table.insert(old_stream(group, stream, tmp_path / stream))
    telemetry = Telemetry(table, MotoHandler())
    telemetry.follow(group, "running", tmp_path / "running")
    # its job was adopted and ended before telemetry looked at the table
    telemetry.follow(group, "just-ended", tmp_path / "just-ended")
    telemetry.finish(group, "just-ended")
    telemetry.adopt()
    telemetry.tick()
    with (tmp_path / "running").open("a") as log:
        log.write("after\n")
    telemetry.tick()
    assert messages(group, "running") == ["before", "after"]
    assert messages(group, "just-ended") == ["before"]
