"""docs/guides/local_aws.md says of every operation what these tests really show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.local_aws.operations import callers, table
from tests.support.aws_models import RECORDER

WRITE = "LOCAL_AWS_WRITE_TABLE"
REMEDY = f"to do: {WRITE}=1 make test-local-aws, and commit docs/guides/local_aws.md"


def test_what_these_tests_prove_stands_in_the_guide(tmp_path: Path) -> None:
    if os.environ.get(WRITE):
        pytest.skip("the table is being written")
    said = table.guide_rows()
    runs = table.executed(tmp_path)
    wrong = [
        f"{service}:{name} is {said.get((service, name), ('', 'absent'))[1]!r}"
        for service, name in sorted(RECORDER.proven)
        if said.get((service, name), ("", ""))[1]
        != ("executed here" if service == "s3" or (service, name) in runs else "validated by model only")
    ]
    assert not wrong, f"{'; '.join(wrong)}; {REMEDY}"


def test_the_guide_says_which_operations_the_project_calls() -> None:
    if os.environ.get(WRITE):
        pytest.skip("the table is being written")
    said = {operation for operation, (mark, _) in table.guide_rows().items() if mark == "yes"}
    by_project, unresolved = callers.called()
    assert not unresolved, f"of which service are these? {unresolved}"
    assert said == by_project, REMEDY


def test_the_guide_holds_exactly_the_operations_called_and_executed(
    tmp_path: Path, whole_suite: bool
) -> None:
    if not whole_suite:
        pytest.skip("only the whole suite, passing, can say what is unproven")
    proven = {operation for operation in RECORDER.proven if operation[0] in callers.SERVICES}
    expected = table.guide_with(table.rows(proven, table.executed(tmp_path), callers.called()[0]))
    if os.environ.get(WRITE):
        table.GUIDE.write_text(expected)
    assert table.GUIDE.read_text() == expected, f"docs/guides/local_aws.md is stale; {REMEDY}"
