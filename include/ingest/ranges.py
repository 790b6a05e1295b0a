"""What to do with a server's answer, given what is kept already: a pure function of headers and offset."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
OK, PARTIAL, UNSATISFIABLE = 200, 206, 416


@dataclass(frozen=True)
class Validator:
    """Which version of a file a server has: RFC 9110, section 8.8. ``size_bytes`` is that of the whole."""

    etag: str = ""
    last_modified: str = ""
    size_bytes: int | None = None

    @property
    def if_range(self) -> str:
        """The value of If-Range: a strong ETag, else the date; '' when the server gave neither."""
        is_strong = bool(self.etag) and not self.etag.startswith("W/")
        return self.etag if is_strong else self.last_modified

    @property
    def identifies(self) -> bool:
        """Whether a change of any byte would show: a weak ETag promises the same meaning alone."""
        return bool(self.if_range)

    def agrees(self, other: Validator) -> bool:
        """Whether both may be of one version: what both name is equal."""
        if (
            self.size_bytes is not None
            and other.size_bytes is not None
            and self.size_bytes != other.size_bytes
        ):
            return False
        if self.etag and other.etag:
            return self.etag == other.etag
        if self.last_modified and other.last_modified:
            return self.last_modified == other.last_modified
        return True


@dataclass(frozen=True)
class ContentRange:
    """``first`` and ``last`` are None where the range could not be served; ``total`` where it is unknown."""

    first: int | None
    last: int | None
    total: int | None


def content_range(header: str) -> ContentRange | None:
    """The parsed header; None when it says nothing that can be used."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if not match:
        return None
    first, last, total = (int(g) if g and g != "*" else None for g in match.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        return None
    return ContentRange(first, last, total)


class Course(enum.Enum):
    """How the fetch goes on."""

    APPEND = "append"
    #: The server sent the whole: read and discard what is kept already.
    DISCARD = "discard"
    #: What is kept is of another version, or of one that cannot be told: throw it away.
    RESTART = "restart"
    #: Everything is kept already.
    COMPLETE = "complete"
    #: The server gets ranges wrong: ask for the whole.
    ASK_FOR_WHOLE = "ask_for_whole"


@dataclass(frozen=True)
class Answered:
    """What decides: the status, Content-Range as parsed, and the version that the server has now."""

    status: int
    range: ContentRange | None
    validator: Validator


def course(answered: Answered, offset: int, kept: Validator, *, verifiable: bool) -> Course:
    """What to do with an answer to a request from ``offset`` on.

    ``verifiable``: a checksum of the whole is known, so that bytes of two versions would be found out
    even where the server names no version.
    """
    same = kept.agrees(answered.validator)
    can_tell = verifiable or (kept.identifies and answered.validator.identifies)
    if answered.status == UNSATISFIABLE:
        total = answered.range.total if answered.range else None
        is_whole = offset > 0 and total == offset and kept.size_bytes in (None, total)
        return Course.COMPLETE if is_whole else Course.RESTART
    if answered.status == PARTIAL:
        part = answered.range
        if part is None or part.first != offset or part.last is None:
            return Course.ASK_FOR_WHOLE
        if not same and kept.etag and kept.etag == answered.validator.etag:
            return Course.ASK_FOR_WHOLE  # the same version cannot have another size
        return Course.APPEND if offset == 0 or (same and can_tell) else Course.RESTART
    if offset == 0:
        return Course.APPEND
    return Course.DISCARD if same and can_tell else Course.RESTART
