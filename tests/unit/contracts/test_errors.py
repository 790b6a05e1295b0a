"""An error names place, problem, expected and found value, and the next step, as far as they are given."""

from __future__ import annotations

import pytest

from include.contracts.errors import InputError, NexusError


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({}, "no"),
        ({"where": "a.json"}, "a.json: no"),
        ({"expected": "1"}, "no; expected 1"),
        ({"got": "2"}, "no; got 2"),
        ({"remedy": "retry"}, "no; to do: retry"),
        (
            {"where": "a.json", "expected": "1", "got": "2", "remedy": "retry"},
            "a.json: no; expected 1; got 2; to do: retry",
        ),
    ],
)
def test_the_text_has_what_is_given_in_this_order(details: dict[str, str], text: str) -> None:
    error = InputError("no", **details)
    assert isinstance(error, NexusError)
    assert str(error) == text
    assert (error.where, error.remedy) == (details.get("where", ""), details.get("remedy", ""))


def test_a_value_of_megabytes_is_cut_and_the_next_step_is_still_named() -> None:
    text = str(InputError("no", where="w" * 10**6, got="x" * 10**6, remedy="retry"))
    assert len(text) < 5000
    assert "(1,000,004 characters); got xxx" in text and text.endswith("; to do: retry")
