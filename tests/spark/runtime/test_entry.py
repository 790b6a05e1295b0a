"""Arguments of the jobs: the request, and whatever an engine adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.contracts.job_errors import JobError
from include.object_store import STORE, ObjectAbsent
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
    left = STORE.read_record(JobError, layout.error("clean"))
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


class RemoteError(Exception):
    """An error of pyspark, whose text is the traceback of a Spark task."""

    __module__ = "pyspark.errors"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("include.contracts.errors.IntegrityError", "IntegrityError"),
        ("include.object_store.errors.ObjectAbsent", "InputError"),
        ("include.object_store.errors.AccessDenied", "InputError"),
        ("include.object_store.errors.StorageUnavailable", "NexusError"),
    ],
)
def test_an_error_of_a_spark_task_has_the_class_that_the_dags_know(line: str, kind: str) -> None:
    """The DAGs tell by the class whether a retry can help."""
    cause = "FileNotFoundError: x\n\nThe above exception was the direct cause\n\n"
    found = entry.readable(RemoteError(f"Job aborted\n{cause}{line}: s3://b/k: no such object\n"))
    assert found == JobError(kind, "s3://b/k: no such object")


def test_an_error_of_the_driver_has_the_class_that_the_dags_know() -> None:
    assert entry.readable(ObjectAbsent("no such object")) == JobError("InputError", "no such object")


def test_of_an_error_and_its_cause_the_error_is_reported() -> None:
    text = (
        "include.object_store.errors.StorageUnavailable: first\n\n"
        "The above exception was the direct cause\n\n"
        "include.contracts.errors.InputError: second\n"
    )
    assert entry.readable(RemoteError(text)) == JobError("InputError", "second")


@pytest.mark.parametrize(
    "line", ["include.gone.Error", "include.contracts.errors.Unknown", "json.JSONDecodeError"]
)
def test_a_class_that_is_no_error_of_the_project_is_a_defect(line: str) -> None:
    assert entry.readable(RemoteError(f"{line}: odd")) is None
