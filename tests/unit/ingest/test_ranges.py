"""Answers of servers, honest and otherwise, and what they lead to."""

from __future__ import annotations

import pytest

from include.ingest.ranges import Answered, ContentRange, Course, Validator, content_range, course

KEPT = Validator('"v1"', "", 100)
OTHER = Validator('"v2"', "", 100)
UNNAMED = Validator(size_bytes=100)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/100", ContentRange(0, 9, 100)),
        ("bytes 40-99/*", ContentRange(40, 99, None)),
        ("bytes */100", ContentRange(None, None, 100)),
        ("bytes 9-0/100", None),
        ("bytes 0-100/100", None),
        ("items 0-9/100", None),
        ("bytes 0-9", None),
        ("", None),
        ("bytes 0-99999999999999999999/5", None),
    ],
)
def test_content_range_is_parsed_or_taken_for_nothing(header: str, expected: ContentRange | None) -> None:
    assert content_range(header) == expected


@pytest.mark.parametrize(
    ("status", "header", "now", "offset", "expected"),
    [
        (200, "", KEPT, 0, Course.APPEND),
        (200, "", OTHER, 0, Course.APPEND),
        (206, "bytes 40-99/100", KEPT, 40, Course.APPEND),
        (206, "bytes 41-99/100", KEPT, 40, Course.ASK_FOR_WHOLE),
        (206, "", KEPT, 40, Course.ASK_FOR_WHOLE),
        (206, "bytes 40-99/100", OTHER, 40, Course.RESTART),
        (206, "bytes 40-199/200", Validator('"v1"', "", 200), 40, Course.ASK_FOR_WHOLE),
        (200, "", KEPT, 40, Course.DISCARD),
        (200, "", OTHER, 40, Course.RESTART),
        (200, "", Validator('"v1"', "", 101), 40, Course.RESTART),
        (416, "bytes */100", KEPT, 100, Course.COMPLETE),
        (416, "bytes */90", KEPT, 90, Course.RESTART),
        (416, "", KEPT, 100, Course.RESTART),
    ],
)
def test_the_course_follows_from_status_range_and_version(
    status: int, header: str, now: Validator, offset: int, expected: Course
) -> None:
    assert course(Answered(status, content_range(header), now), offset, KEPT, verifiable=False) is expected


def test_a_server_that_names_no_version_is_resumed_only_where_a_checksum_would_tell() -> None:
    answered = Answered(206, content_range("bytes 40-99/100"), UNNAMED)
    assert course(answered, 40, UNNAMED, verifiable=False) is Course.RESTART
    assert course(answered, 40, UNNAMED, verifiable=True) is Course.APPEND
    assert course(Answered(200, None, UNNAMED), 40, UNNAMED, verifiable=True) is Course.DISCARD


def test_bytes_are_not_joined_on_a_weak_etag() -> None:
    weak = Validator('W/"v1"', "", 100)
    answered = Answered(206, content_range("bytes 40-99/100"), weak)
    assert course(answered, 40, weak, verifiable=False) is Course.RESTART
    assert course(answered, 40, weak, verifiable=True) is Course.APPEND
    assert course(Answered(200, None, weak), 40, weak, verifiable=False) is Course.RESTART


def test_a_weak_etag_is_no_condition_of_a_range() -> None:
    assert Validator('W/"v1"', "Wed, 01 Jan 2025 00:00:00 GMT").if_range == "Wed, 01 Jan 2025 00:00:00 GMT"
    assert Validator('"v1"', "Wed, 01 Jan 2025 00:00:00 GMT").if_range == '"v1"'
    assert Validator('W/"v1"').if_range == ""
