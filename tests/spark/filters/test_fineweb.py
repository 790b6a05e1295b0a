from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spark_jobs.filters import fineweb
from spark_jobs.kernels.letters import letters
from spark_jobs.kernels.word_rules import word_rule
from spark_jobs.runtime.columns import buffers

PIECES = st.sampled_from(
    [
        "a",
        "A line of thirty characters ok",
        "A line of thirty-one characters",
        "été",
        "漢字" * 15,
        "漢字" * 16,
        ".",
        "!",
        "?",
        "'",
        '"',
        "…",
        ". ",
        "\n",
        "\n\n",
        " ",
        "\xa0",
        "\t",
    ]
)

#: Few lines, so that lines of every size repeat.
LINES = st.lists(st.sampled_from(["a.", "bb", "ccc ddd!", "", " ", "été"]), max_size=30).map("\n".join)


def measured(texts: list[str], short_line_length: int = 30) -> list[list[float]]:
    column = pa.array(texts, pa.string())
    rule = word_rule("whitespace")
    return fineweb.measure(*buffers(column), letters(), short_line_length, rule).tolist()


def definition(text: str) -> list[float]:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return [0.0] * 5
    repeated = [line for at, line in enumerate(lines) if line in lines[:at]]
    return [
        len(lines),
        sum(line.endswith((".", "'", '"', "!", "?")) for line in lines) / len(lines),
        sum(len(line) <= 30 for line in lines) / len(lines),
        sum(map(len, repeated)) / len(text.replace("\n", "")),
        text.count("\n") / len(text.split()),
    ]


@given(st.lists(st.lists(PIECES, max_size=40).map("".join) | LINES, max_size=5))
@example(["", "\n", " \n \n", "a.\na.", "a.\n\n a.", "a\u00a0\na", "a. ", "ccc\nb\nb"])
def test_measures_follow_their_definitions(texts: list[str]) -> None:
    assert measured(texts) == [pytest.approx(definition(text)) for text in texts]


def test_the_length_of_a_short_line_is_the_recipes() -> None:
    assert measured(["abc\nabcd\nabcde"], 4)[0][fineweb.SHORT_LINE_SHARE] == pytest.approx(2 / 3)
