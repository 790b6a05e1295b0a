"""Pagination of listings. A page token is the position of the next entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from local_aws.errors import AwsError

T = TypeVar("T")


def page_of(
    rows: Sequence[T],
    request: Mapping[str, Any],
    size: int,
    token: str = "NextToken",
    size_member: str = "MaxResults",
) -> tuple[Sequence[T], dict[str, str]]:
    """Return the rows of the page that a request asks for, and the member of the answer with the next token.

    :param size: the number of rows if the request has no ``size_member``
    """
    begin = offset_of(request.get(token))
    end = begin + int(request.get(size_member) or size)
    return rows[begin:end], ({token: str(end)} if end < len(rows) else {})


def offset_of(token: str | None) -> int:
    """Return the position at which the page begins. Raises ValidationException for an invalid token."""
    if not token:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,8}", token):
        raise AwsError("ValidationException", f"The pagination token {token[:50]!r} is not valid.")
    return int(token)
