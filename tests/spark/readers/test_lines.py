from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.lines import OVERLONG, split_lines

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
        line if len(line) <= limit else OVERLONG
        for line in content.split(b"\n")
        if line.strip() or len(line) > limit
    ]
    assert list(split_lines(blocks, limit)) == expected
