"""The jobs of a local_aws that was killed are ended, and those of one that runs are not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.jobs import leftovers
from local_aws.jobs.leftovers import end_leftovers
from local_aws.jobs.processes import JobProcess, Spec, kill_marked
from local_aws.jobs.supervisor import root_marker
from local_aws.root_lock import lock_root


@pytest.fixture
def job(tmp_path: Path) -> Iterator[JobProcess]:
    """A job of the root folder ``root``."""
    root = tmp_path / "root"
    root.mkdir()
    marker = f"{root_marker(root)}job/one/1/"
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    yield JobProcess.start(Spec(sleeps, {"PATH": ""}, str(tmp_path), marker), tmp_path / "process")
    kill_marked(marker)


def test_the_jobs_of_a_folder_that_nobody_serves_are_ended_without_an_exit_status(
    job: JobProcess, tmp_path: Path
) -> None:
    assert end_leftovers(tmp_path / "root") > 0
    assert not job.alive()
    end = job.exit()
    assert end is not None and end.code == -1  # it vanished
    assert end_leftovers(tmp_path / "root") == 0


def test_the_jobs_of_a_running_server_and_of_other_folders_go_on(
    job: JobProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_LOCK_SECONDS", 0.2)
    other = tmp_path / "other"
    other.mkdir()
    with lock_root(tmp_path / "root"):
        assert [end_leftovers(root) for root in (tmp_path / "root", other, tmp_path / "absent")] == [0, 0, 0]
    assert job.alive()
