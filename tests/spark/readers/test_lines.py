from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.readers.compression import Damage
from spark_jobs.readers.lines import split_lines
from spark_jobs.readers.pieces import Overlong, Torn

CONTENT = st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\n\n", b" ", b"\r\n", b"c" * 9]), max_size=30).map(
    b"".join
)


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    blocks, position, turn = [], 0, 0
    while position < len(content):
        size = cuts[turn % len(cuts)]
        blocks.append(content[position : position + size])
        position, turn = position + size, turn + 1
    return blocks


@given(CONTENT, st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 12))
def test_lines_do_not_depend_on_how_the_bytes_are_cut(content: bytes, cuts: list[int], limit: int) -> None:
    expected = [
        (line, len(line) > limit) for line in content.split(b"\n") if line.strip() or len(line) > limit
    ]
    found = list(split_lines(cut(content, cuts), limit))
    assert len(found) == len(expected)
    for line, (whole, is_overlong) in zip(found, expected, strict=True):
        assert isinstance(line, bytes)
        assert isinstance(line, Overlong) == is_overlong
        assert (whole.startswith(line) and len(line) > limit) if is_overlong else line == whole


def test_an_overlong_line_keeps_its_beginning_and_no_more() -> None:
    blocks = [b"first\n" + b"a" * 10, *[b"b" * 1000] * 50, b"b\nlast"]
    assert list(split_lines(blocks, 2000)) == [b"first", b"a" * 10 + b"b" * 390, b"last"]


@given(st.integers(20, 400), st.integers(1, 70), st.booleans())
def test_a_line_above_the_limit_that_is_made_of_records_gives_the_records(
    limit: int, size: int, ends: bool
) -> None:
    records = [b'{"a": "%d"}' % i for i in range(100)]
    content = b"first\n" + b"".join(records) + (b"\nlast" if ends else b"")
    expected = [b"first", *records, *([b"last"] if ends else [])]
    found = list(split_lines(cut(content, [size]), limit))
    # up to the limit, what is left of such a line is cut by whoever parses it
    assert b"".join(line for line in found if isinstance(line, bytes)) == b"".join(expected)
    assert not any(isinstance(line, Overlong) for line in found)


def test_the_line_before_damage_is_torn_and_the_next_begins_after_it() -> None:
    damage = Damage("gone")
    found = list(split_lines([b"one\ntw", damage, b"three\nfour\n", damage, b"five"], 100))
    assert found == [b"one", b"tw", damage, b"three", b"four", damage, b"five"]
    assert [isinstance(piece, Torn) for piece in found] == [False, True, False, False, False, False, False]


def test_a_record_after_zeros_beyond_the_limit_is_found() -> None:
    blocks = [b'{"a": 1}\n', *[bytes(100)] * 5, b'{"b": 2}\n{"c": 3}']
    found = [piece.lstrip(b"\0") for piece in split_lines(blocks, 150) if isinstance(piece, bytes)]
    assert found == [b'{"a": 1}', b'{"b": 2}', b'{"c": 3}']
