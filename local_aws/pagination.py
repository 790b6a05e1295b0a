"""Pages of a listing: a token is the place of the next entry, as the page before gave it out."""

from __future__ import annotations

import re

from local_aws.errors import AwsError


def offset_of(token: str | None) -> int:
    """Where the page begins; ValidationException for a token that no page gave out."""
    if not token:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,8}", token):
        raise AwsError("ValidationException", f"no page gave out the token {token[:50]!r}")
    return int(token)
