from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.lines import Overlong, split_lines

CONTENT = st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\n\n", b" ", b"\r\n", b"c" * 9]), max_size=30).map(
    b"".join
)


@given(CONTENT, st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 12))
def test_lines_do_not_depend_on_how_the_bytes_are_cut(content: bytes, cuts: list[int], limit: int) -> None:
    blocks, position, turn = [], 0, 0
    while position < len(content):
        size = cuts[turn % len(cuts)]
        blocks.append(content[position : position + size])
        position, turn = position + size, turn + 1
    expected = [
        (line, len(line) > limit) for line in content.split(b"\n") if line.strip() or len(line) > limit
    ]
    found = list(split_lines(blocks, limit))
    assert len(found) == len(expected)
    for line, (whole, is_overlong) in zip(found, expected, strict=True):
        assert isinstance(line, Overlong) == is_overlong
        assert (whole.startswith(line) and len(line) > limit) if is_overlong else line == whole


def test_of_an_overlong_line_the_beginning_is_kept_and_no_more() -> None:
    blocks = [b"first\n" + b"a" * 10, *[b"b" * 1000] * 50, b"b\nlast"]
    assert list(split_lines(blocks, 2000)) == [b"first", b"a" * 10 + b"b" * 390, b"last"]
