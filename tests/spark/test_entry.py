"""Arguments of the jobs: the request, and whatever an engine adds."""

from __future__ import annotations

from typing import Any

import pytest

from spark_jobs import entry


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that a job was run on."""
    requests: list[str] = []

    def run(name: str, job: Any, place: Any) -> int:
        job(None)
        return 0

    monkeypatch.setattr(entry, "run_with_session", run)
    return requests


def run(asked: list[str], *argv: str) -> int:
    return entry.run_job("clean", lambda _, request: asked.append(request) or {}, argv, "")  # type: ignore[func-returns-value]


def test_what_glue_adds_is_ignored(asked: list[str]) -> None:
    glue = [
        "--JOB_ID",
        "j_1",
        "--JOB_RUN_ID",
        "jr_1",
        "--JOB_NAME",
        "nexus-llm-clean",
        "--TempDir",
        "s3://t/",
    ]
    own = ["--enable-auto-scaling", "true", "--request", "s3://b/request.json", "--run_name", "clean-g1"]
    assert run(asked, *glue, *own) == 0
    assert asked == ["s3://b/request.json"]


def test_a_request_is_needed_and_its_name_is_not_guessed(asked: list[str]) -> None:
    for argv in ([], ["--requ", "s3://b/request.json"]):
        with pytest.raises(SystemExit):
            run(asked, *argv)
    assert asked == []


def test_a_success_ends_without_an_exception_and_a_failure_with_its_code() -> None:
    entry.end(0)
    with pytest.raises(SystemExit) as ended:
        entry.end(2)
    assert ended.value.code == 2
