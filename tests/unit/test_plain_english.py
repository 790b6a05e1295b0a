"""Docstrings, comments, messages and documents are in plain English."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.english import check, check_python, check_text

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_in_the_repository_breaks_a_rule() -> None:
    assert [str(entry) for entry in check(ROOT)] == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What the DAG does."""',
        '"""Whether a job runs."""',
        'class A:\n    """Where jobs lie."""',
        'def f():\n    """The shards of a folder."""',
        'def f():\n    """0 when all is done."""',
        'def f():\n    """Start a job; its name."""',
        'def f():\n    """Write the file\n\n    beside the other."""',
        "x = 1  # the file is written anew",
        'raise ValueError("the user is told; mend it")',
    ],
)
def test_a_text_that_breaks_a_rule_is_found(source: str) -> None:
    assert list(check_python("dags/a.py", source + "\n"))


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return the shards of a folder."""',
        'class A:\n    """The shards of a folder."""',
        '@property\ndef f():\n    """The shards of a folder."""',
        "x = 1  # besides, the order is recommended, whatsoever",
        '"""Whatever the operator does, it ends."""',
    ],
)
def test_a_text_that_keeps_the_rules_passes(source: str) -> None:
    assert list(check_python("dags/a.py", source + "\n")) == []


def test_strings_of_tests_are_inputs_and_those_of_the_product_are_messages() -> None:
    source = 'x = "he stood beside the door"\n'
    assert list(check_python("tests/unit/test_a.py", source)) == []
    assert [entry.line for entry in check_python("demo/a.py", source)] == [1]


def test_documents_are_checked_by_line() -> None:
    assert [entry.line for entry in check_text("docs/a.md", "Good.\nWritten beside it.\n")] == [2]
