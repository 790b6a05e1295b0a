"""Decide how to use a server's answer, as a pure function of its headers and the bytes kept so far."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
OK, PARTIAL, UNSATISFIABLE = 200, 206, 416


@dataclass(frozen=True)
class Validator:
    """The server's name of a file's version: RFC 9110, section 8.8. ``size_bytes`` is that of the whole."""

    etag: str = ""
    last_modified: str = ""
    size_bytes: int | None = None

    @property
    def if_range(self) -> str:
        """Return the value of If-Range: a strong ETag, else the date; '' if the server gave neither."""
        is_strong = bool(self.etag) and not self.etag.startswith("W/")
        return self.etag if is_strong else self.last_modified

    @property
    def identifies(self) -> bool:
        """Return True if a change of any byte would show: a weak ETag promises only the same meaning."""
        return bool(self.if_range)

    def agrees(self, other: Validator) -> bool:
        """Return True if both may be of one version: all that both name is equal."""
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
    """A range; ``first`` and ``last`` are None if it could not be served, ``total`` if it is unknown."""

    first: int | None
    last: int | None
    total: int | None


def content_range(header: str) -> ContentRange | None:
    """Parse the header; None if it has no usable value."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if not match:
        return None
    first, last, total = (int(g) if g and g != "*" else None for g in match.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        return None
    return ContentRange(first, last, total)


class Course(enum.Enum):
    """The next step of a fetch."""

    APPEND = "append"
    #: The server sent the whole file: read and discard the part that is kept already.
    DISCARD = "discard"
    #: The kept bytes are of another version, or of an unknown one: discard them.
    RESTART = "restart"
    #: Everything is kept already.
    COMPLETE = "complete"
    #: The server answers range requests wrongly: ask for the whole file.
    ASK_FOR_WHOLE = "ask_for_whole"


@dataclass(frozen=True)
class Answered:
    """The facts that decide: status, Content-Range as parsed, and the version that the server has now."""

    status: int
    range: ContentRange | None
    validator: Validator


def course(answered: Answered, offset: int, kept: Validator, *, verifiable: bool) -> Course:
    """Return the next step after an answer to a request from ``offset`` on.

    ``verifiable``: a checksum of the whole is known, so that bytes of two versions would be noticed even
    where the server names no version.
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
