"""Any sequence of cuts, restarts and lies about ranges gives the bytes of one whole answer, or an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.ingestion import Checksum, ChecksumKind, Shard
from include.ingest.assemble import Assembly, Tally
from include.ingest.backoff import Patience
from include.ingest.errors import ShardMismatch, SourceRefused, SourceUnavailable
from include.ingest.pace import Pace
from include.ingest.ranges import Answered, Validator, content_range
from include.recipes.source import Politeness

URL = "http://server/shard"
POLITE = Politeness(max_attempts=3, min_bytes_per_second=0)


class MemoryFile:
    """Keeps parts of ``part`` bytes safe; the rest is lost with the process."""

    def __init__(self, part: int) -> None:
        self.part = part
        self.kept = b""
        self.validator = Validator()

    @property
    def offset(self) -> int:
        return len(self.kept)

    @property
    def safe(self) -> int:
        return len(self.kept) // self.part * self.part

    def adopt(self, validator: Validator) -> None:
        assert not self.kept, "bytes of two versions would be mixed"
        self.validator = validator

    def write(self, chunk: bytes) -> None:
        self.kept += chunk

    def clear(self) -> None:
        self.kept, self.validator = b"", Validator()

    def lose_process(self) -> None:
        self.kept = self.kept[: self.safe]


@dataclass
class Cut:
    """One answer: how many bytes come, and how the server treats the range."""

    length: int
    treats: str = "honest"


@dataclass
class Server:
    body: bytes
    cuts: list[Cut]
    etag: str = '"v1"'
    announces: bool = True
    asked: list[int] = field(default_factory=list)

    @contextmanager
    def open(self, url: str, offset: int, if_range: str) -> Iterator[MemoryAnswer]:
        self.asked.append(offset)
        cut = self.cuts.pop(0) if self.cuts else Cut(len(self.body))
        if cut.treats == "refuses":
            raise SourceUnavailable("503")
        if cut.treats == "ignores":
            offset = 0
        total = len(self.body)
        validator = Validator(self.etag, "", total if self.announces else None)
        if offset and if_range not in ("", self.etag):
            offset = 0  # the file changed: all of the new one
        if offset >= total > 0:
            yield MemoryAnswer(Answered(416, content_range(f"bytes */{total}"), validator), [], False)
            return
        first = offset + 1 if cut.treats == "shifts" and offset else offset
        body = self.body[offset:][: cut.length]
        caps = cut.treats.startswith("caps") and bool(offset and body)
        last = first + len(body) - 1 if caps else total - 1
        whole = "*" if cut.treats == "caps, total untold" else total
        span = content_range(f"bytes {first}-{last}/{whole}") if offset else None
        chunks = [body[i : i + 3] for i in range(0, len(body), 3)]
        broken = offset + len(body) < total and not caps
        yield MemoryAnswer(Answered(206 if offset else 200, span, validator), chunks, broken)


@dataclass
class MemoryAnswer:
    answered: Answered
    body: list[bytes]
    breaks: bool
    link: str = ""

    def chunks(self) -> Iterator[bytes]:
        yield from self.body
        if self.breaks:
            raise SourceUnavailable("broke off")


def assembly(shard: Shard, partial: MemoryFile, server: Server, tally: Tally | None = None) -> Assembly:
    patience = Patience(POLITE, lambda _: None)
    opener: Any = server.open
    kept: Any = partial
    return Assembly(shard, kept, opener, patience, lambda: Pace("s", URL, POLITE), tally or Tally())


def shard(**more: object) -> Shard:
    return Shard("s.jsonl", URL, **more)  # type: ignore[arg-type]


#: Servers may send less of a range than was asked for: they cap it.
TREATS = ["honest", "ignores", "shifts", "refuses", "caps", "caps, total untold"]
cuts = st.lists(
    st.builds(Cut, st.integers(0, 20), st.sampled_from(TREATS)),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(min_size=1, max_size=20) | st.binary(min_size=60, max_size=200),
    cuts,
    st.integers(1, 40),
    st.sampled_from(["announced", "published", "untold"]),
)
def test_any_sequence_of_cuts_gives_identical_bytes(
    body: bytes, sequence: list[Cut], part: int, size: str
) -> None:
    server, partial = Server(body, sequence, announces=size == "announced"), MemoryFile(part)
    known = shard(size_bytes=len(body)) if size == "published" else shard()
    for _ in range(30):  # each failure is a lost worker: another process goes on with what is safe
        try:
            assembly(known, partial, server).run()
            break
        except SourceUnavailable:
            partial.lose_process()
    assert partial.kept == body


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=100), st.binary(min_size=1, max_size=100), st.integers(0, 99))
def test_versions_are_never_mixed(old: bytes, new: bytes, cut: int) -> None:
    server, partial, tally = Server(old, [Cut(min(cut, len(old)))]), MemoryFile(1), Tally()
    stage_filled = cut and cut < len(old)
    with_change = Server(new, [], etag='"v2"')
    opened = [server.open, with_change.open]

    @contextmanager
    def changing(url: str, offset: int, if_range: str) -> Iterator[MemoryAnswer]:
        using = opened.pop(0) if len(opened) > 1 else opened[0]
        with using(url, offset, if_range) as answer:
            yield answer

    one = assembly(shard(), partial, server, tally)
    one._open = changing  # type: ignore[assignment]
    one.run()
    assert partial.kept == (new if cut < len(old) else old)
    assert tally.restarts == (1 if stage_filled else 0)


@pytest.mark.parametrize("treats", ["caps", "caps, total untold"])
def test_a_range_that_the_server_caps_is_not_taken_for_the_rest(treats: str) -> None:
    server = Server(b"0123456789" * 5, [Cut(20), Cut(10, treats)], announces=False)
    partial = MemoryFile(10)
    assembly(shard(), partial, server).run()
    assert partial.kept == server.body


def test_only_what_is_missing_is_asked_for() -> None:
    server, tally = Server(b"0123456789" * 5, [Cut(20), Cut(20)]), Tally()
    assembly(shard(), MemoryFile(10), server, tally).run()
    assert server.asked == [0, 20, 40]
    assert (tally.received_bytes, tally.discarded_bytes, tally.resumes) == (50, 0, 2)


def test_a_server_that_ignores_ranges_is_read_and_discarded_up_to_the_cut() -> None:
    server, tally = Server(b"0123456789" * 5, [Cut(20), Cut(50, "ignores")]), Tally()
    partial = MemoryFile(10)
    assembly(shard(), partial, server, tally).run()
    assert partial.kept == server.body
    assert (tally.received_bytes, tally.discarded_bytes) == (70, 20)


def test_tries_without_progress_end() -> None:
    server = Server(b"0123456789", [Cut(0, "refuses")] * 9)
    with pytest.raises(SourceUnavailable):
        assembly(shard(), MemoryFile(2), server).run()
    assert len(server.asked) == POLITE.max_attempts


def test_a_few_bytes_an_answer_without_a_further_part_are_no_progress() -> None:
    server = Server(b"0123456789" * 5, [Cut(2)] * 20)
    with pytest.raises(SourceUnavailable):
        assembly(shard(), MemoryFile(40), server).run()
    assert server.asked == [0, 2, 4]


def test_after_a_restart_ranges_are_asked_for_again() -> None:
    server = Server(b"0123456789" * 5, [Cut(20), Cut(20, "shifts"), Cut(30), Cut(30)])
    one = assembly(shard(), MemoryFile(10), server)
    opened = server.open

    @contextmanager
    def changing(url: str, offset: int, if_range: str) -> Iterator[MemoryAnswer]:
        if len(server.asked) == 2:
            server.etag = '"v2"'  # by now it is read from the start, since its ranges are wrong
        with opened(url, offset, if_range) as answer:
            yield answer

    one._open = changing  # type: ignore[assignment]
    one.run()
    assert server.asked == [0, 20, 0, 30]


def test_a_server_that_names_no_version_and_breaks_off_may_be_asked_again_later() -> None:
    server, tally = Server(b"0123456789" * 5, [Cut(20)] * 9, etag=""), Tally()
    with pytest.raises(SourceUnavailable):
        assembly(shard(), MemoryFile(10), server, tally).run()
    assert len(server.asked) == POLITE.max_attempts
    server.cuts, partial = [Cut(20)], MemoryFile(10)
    assembly(shard(), partial, server).run()
    assert partial.kept == server.body


def test_a_file_that_keeps_changing_is_given_up() -> None:
    class Restless(Server):
        @contextmanager
        def open(self, url: str, offset: int, if_range: str) -> Iterator[MemoryAnswer]:
            self.etag = f'"{len(self.asked)}"'
            with super().open(url, offset, if_range) as answer:
                yield answer

    with pytest.raises(SourceRefused, match="changed 3 times"):
        assembly(shard(), MemoryFile(1), Restless(b"0123456789", [Cut(n) for n in range(1, 9)])).run()


def test_another_size_than_published_is_found_out_before_a_byte_is_fetched() -> None:
    server, tally = Server(b"0123456789", []), Tally()
    with pytest.raises(ShardMismatch, match="11 bytes"):
        assembly(shard(size_bytes=11), MemoryFile(2), server, tally).run()
    assert tally.received_bytes == 0


def test_another_etag_than_pinned_is_found_out_before_a_byte_is_fetched() -> None:
    pinned = shard(checksum=Checksum(ChecksumKind.ETAG, "v0"))
    with pytest.raises(ShardMismatch, match="ETag v0"):
        assembly(pinned, MemoryFile(2), Server(b"0123456789", [])).run()


def test_a_body_that_does_not_end_is_cut_at_the_published_size() -> None:
    server = Server(b"0123456789", [], announces=False)
    with pytest.raises(ShardMismatch, match="more bytes"):
        assembly(shard(size_bytes=5), MemoryFile(2), server).run()


def test_a_trickle_is_a_stall() -> None:
    now = iter(range(0, 1000, 10))
    pace = Pace("s", URL, Politeness(read_timeout_seconds=60, min_bytes_per_second=10), lambda: next(now))
    with pytest.raises(SourceUnavailable, match="too slowly"):
        for _ in range(10):
            pace.came(1, 1, 100)
