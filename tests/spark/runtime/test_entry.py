"""Arguments of the jobs: the request, and whatever an engine adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.contracts.job_errors import JobError
from spark_jobs import storage
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.runtime import entry


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that a job was run on."""
    requests: list[str] = []

    def run(name: str, job: Any, layout: Any) -> int:
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


def test_a_defect_is_left_for_the_task_too_in_the_words_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PythonException(Exception):
        """As pyspark's, whose text is a traceback."""

    remote = (
        "An exception was thrown\nTraceback (most recent call last):\n  File ...\nImportError: no numba\n"
    )

    def job(session: Any) -> dict[str, Any]:
        raise PythonException(remote)

    monkeypatch.setattr("spark_jobs.runtime.session.spark_session", lambda name: None)
    layout = VersionLayout(str(tmp_path))
    with pytest.raises(PythonException):
        entry.run_with_session("clean", job, layout)
    left = storage.read_record(JobError, layout.error("clean"))
    assert left == JobError("PythonException", "ImportError: no numba")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain words\nand more", "plain words"),
        ("", "no reason given"),
        ("x.y.OddError: a\njava.lang.Other: b", "x.y.OddError: a"),
    ],
)
def test_a_defect_tells_one_line(text: str, told: str) -> None:
    assert entry.defect(ValueError(text)) == JobError("ValueError", told)
