"""Pagination of listings. A page token is the position of the next entry."""

from __future__ import annotations

import re

from local_aws.errors import AwsError


def offset_of(token: str | None) -> int:
    """Return the position at which the page begins. Raises ValidationException for an invalid token."""
    if not token:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,8}", token):
        raise AwsError("ValidationException", f"The pagination token {token[:50]!r} is not valid.")
    return int(token)
