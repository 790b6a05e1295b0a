"""Assembles the bytes of one version of a file from any number of answers.

This module does not depend on S3 or HTTP: an ``Opener`` returns answers, and a ``PartialFile`` stores
bytes. It finally holds the bytes of a single complete answer, independently of where the answers ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from include.contracts.ingestion import ChecksumKind, Shard
from include.ingest.backoff import Patience
from include.ingest.errors import ShardMismatch, SourceRefused, SourceUnavailable
from include.ingest.pace import Pace
from include.ingest.ranges import OK, Answered, Course, Validator, course
from include.ingest.source_client import Answer
from include.ingest.verification import is_pinned_etag

log = logging.getLogger(__name__)

#: ``opener(url, offset, if_range)``
Opener = Callable[[str, int, str], AbstractContextManager[Answer]]

_MAX_RESTARTS = 3


class PartialFile(Protocol):
    """A file of which not all bytes have arrived."""

    #: Bytes kept so far, and their version.
    offset: int
    validator: Validator
    #: Bytes of ``offset`` that would survive the loss of this process.
    safe: int

    def adopt(self, validator: Validator) -> None:
        """Set the version of the bytes that follow; nothing may be kept yet."""

    def write(self, chunk: bytes) -> None:
        """Keep more bytes."""

    def clear(self) -> None:
        """Discard all bytes that are kept."""


@dataclass
class Tally:
    """Counts of a fetch. ``discarded_bytes`` were sent twice because the server does not serve ranges."""

    received_bytes: int = 0
    discarded_bytes: int = 0
    resumes: int = 0
    restarts: int = 0


class Assembly:
    """The fetch of one shard into a partial file."""

    def __init__(
        self,
        shard: Shard,
        partial: PartialFile,
        opener: Opener,
        patience: Patience,
        pace: Callable[[], Pace],
        tally: Tally,
    ) -> None:
        self._shard = shard
        self._partial = partial
        self._open = opener
        self._patience = patience
        self._pace = pace
        self._by_range = True
        self._changes = 0
        self.tally = tally

    def run(self) -> None:
        """Fetch until the file is complete.

        Raises SourceUnavailable when the tries are used up, and ShardMismatch if the server's size is wrong.
        """
        if self._partial.offset:
            self.tally.resumes += 1
            log.info("%s: resumed at byte %s", self._shard.name, self._partial.offset)
        while not self._is_whole():
            before = self._partial.safe
            try:
                if self._once():
                    return
                error = SourceUnavailable(
                    "the body ended early", where=self._shard.url, got=f"{self._partial.offset} bytes"
                )
            except SourceUnavailable as failure:
                error = failure
            if self._partial.safe > before and self._is_resumable:
                self._patience.progressed()
            self._patience.endure(error)
            if self._partial.offset:
                self.tally.resumes += 1

    def _is_whole(self) -> bool:
        return 0 < self._partial.offset == self._total()

    def _total(self) -> int | None:
        announced = self._partial.validator.size_bytes
        return announced if announced is not None else self._shard.size_bytes

    def _once(self) -> bool:
        """Ask once. Return True if the file is complete after the answer."""
        partial, by_range = self._partial, self._by_range
        with self._open(
            self._shard.url, partial.offset if by_range else 0, partial.validator.if_range
        ) as answer:
            what = course(answer.answered, partial.offset, partial.validator, verifiable=self._verifiable)
            if what is Course.COMPLETE:
                return True
            if what is Course.ASK_FOR_WHOLE:
                self._by_range = False
                raise SourceUnavailable("the server answers range requests wrongly", where=self._shard.url)
            if what is Course.RESTART:
                is_same = partial.validator.agrees(answer.answered.validator)
                self._restart(has_changed=self._is_resumable or not is_same)
                if answer.answered.status != OK:  # this body is not the beginning of the file
                    raise SourceUnavailable("the file changed while it was fetched", where=self._shard.url)
            if partial.offset == 0:
                self._check_announced(answer.answered.validator)
                partial.adopt(answer.answered.validator)
            return self._take(answer, partial.offset if what is Course.DISCARD else 0)

    def _whole_of(self, answered: Answered) -> int | None:
        """Return the size of the file, from what is known or else from the answer to a range."""
        known = self._total()
        return answered.range.total if known is None and answered.range else known

    def _restart(self, *, has_changed: bool) -> None:
        """Start again from the first byte, a limited number of times: a server's versions may alternate.

        A server that names no version and breaks off does not count: the tries without progress limit that.
        """
        self.tally.restarts += 1
        self._changes += has_changed
        if self._changes > _MAX_RESTARTS:
            raise SourceRefused(
                f"the file changed {_MAX_RESTARTS} times while it was fetched",
                where=self._shard.url,
                remedy="fetch it when its publisher has finished, or from a mirror that names versions",
            )
        log.warning(
            "%s: changed at its source, or cannot be resumed: fetched from the start", self._shard.name
        )
        self._partial.clear()
        self._by_range = True

    def _take(self, answer: Answer, discard: int) -> bool:
        partial, tally, pace = self._partial, self.tally, self._pace()
        limit = self._whole_of(answer.answered)
        for chunk in answer.chunks():
            tally.received_bytes += len(chunk)
            dropped = min(discard, len(chunk))
            discard -= dropped
            tally.discarded_bytes += dropped
            if dropped < len(chunk):
                partial.write(chunk[dropped:])
            if limit is not None and partial.offset > limit:
                raise self._mismatch("more bytes than announced", f"{limit} bytes", "more")
            pace.came(len(chunk), partial.offset, limit)
        if limit is not None:
            return partial.offset == limit
        # without a length, the end of the connection is the end of the file. It is not the end of a range:
        # a server may send less than was asked for, and the next answer shows if there is more
        return discard == 0 and answer.answered.status == OK

    @property
    def _is_resumable(self) -> bool:
        """Return True if a mixture of two versions would be noticed, by their names or by a checksum."""
        return self._verifiable or self._partial.validator.identifies

    @property
    def _verifiable(self) -> bool:
        checksum = self._shard.checksum
        return checksum is not None and checksum.kind is not ChecksumKind.ETAG

    def _check_announced(self, validator: Validator) -> None:
        """Compare the announced size and version with the promised ones before any byte is fetched."""
        size, checksum = self._shard.size_bytes, self._shard.checksum
        if size is not None and validator.size_bytes not in (None, size):
            raise self._mismatch(
                "the server announces another size", f"{size} bytes", f"{validator.size_bytes} bytes"
            )
        if checksum and not is_pinned_etag(self._shard, validator.etag):
            raise self._mismatch(
                "the server has another version", f"ETag {checksum.value}", f"ETag {validator.etag}"
            )

    def _mismatch(self, what: str, expected: str, got: str) -> ShardMismatch:
        return ShardMismatch(what, where=self._shard.url, expected=expected, got=got)
