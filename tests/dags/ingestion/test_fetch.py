"""Shards from a server that stalls, truncates and lies, into the local S3."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from include.contracts.errors import IntegrityError
from include.contracts.ingestion import Checksum, ChecksumKind, QuarantineNote, ShardState
from include.contracts.records import parse_json
from include.ingest import publishing
from include.ingest.errors import SourceUnavailable
from include.ingest.outcomes import require_good
from include.ingest.verification import digests_of
from include.object_store import transfers
from tests.dags.ingestion.conftest import MEBI, Ingestion, random_bytes, sha256
from tests.dags.ingestion.hostile_server import Trick

NAME = "train/00.jsonl.zst"
KEY = f"mirror/{NAME}"
PART = 5 * MEBI


def pinned(body: bytes, kind: ChecksumKind = ChecksumKind.SHA256) -> dict[str, Any]:
    digest = hashlib.new(kind.value, body).hexdigest()
    return {"size_bytes": len(body), "checksum": Checksum(kind, digest)}


def test_an_honest_server_is_fetched_in_parts_and_what_is_known_travels_with_the_shard(
    ingestion: Ingestion,
) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body)
    outcome = ingestion.fetch_one(ingestion.shard(NAME, **pinned(body)))
    assert outcome.state is ShardState.FETCHED
    assert (outcome.sha256, outcome.size_bytes, outcome.published) == (sha256(body), len(body), "sha256")
    assert (outcome.received_bytes, outcome.resumes, outcome.restarts) == (len(body), 0, 0)
    assert ingestion.body(KEY) == body
    metadata = ingestion.metadata(KEY)
    assert metadata["sha256"] == sha256(body)
    assert (metadata["source"], metadata["licence"]) == ("mirror", "CC0-1.0")
    assert metadata["source-url"] == ingestion.server.url(NAME) and metadata["retrieved-at"]
    ingestion.leaves_nothing_behind()
    request = ingestion.server.requests(NAME)[0]
    assert "nexus-llm" in request.headers["user-agent"]
    assert request.headers["accept-encoding"] == "identity"


def test_a_small_shard_needs_no_multipart_upload(ingestion: Ingestion) -> None:
    ingestion.server.host(NAME, b"{}\n")
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert (outcome.state, outcome.published) == (ShardState.FETCHED, "none")
    assert ingestion.metadata(KEY)["published-checksum"] == "none"
    assert ingestion.body(KEY) == b"{}\n"
    ingestion.leaves_nothing_behind()


def test_stored_compression_is_not_unpacked_on_the_way(ingestion: Ingestion) -> None:
    body = b"\x1f\x8b, which is no gzip at all"
    ingestion.server.host(NAME, body, always=Trick(headers={"Content-Encoding": "gzip"}))
    assert ingestion.fetch_one(ingestion.shard(NAME, **pinned(body))).state is ShardState.FETCHED
    assert ingestion.body(KEY) == body


def test_an_md5_is_compared_too(ingestion: Ingestion) -> None:
    body = random_bytes(0.1)
    ingestion.server.host(NAME, body)
    outcome = ingestion.fetch_one(ingestion.shard(NAME, **pinned(body, ChecksumKind.MD5)))
    assert (outcome.state, outcome.published) == (ShardState.FETCHED, "md5")


def test_a_truncated_body_is_resumed_and_only_the_rest_is_served(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body, Trick(cut_after=6 * MEBI), Trick(cut_after=3 * MEBI))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, **pinned(body)))
    assert (outcome.state, outcome.resumes) == (ShardState.FETCHED, 2)
    assert ingestion.body(KEY) == body
    assert ingestion.server.sent[NAME] == len(body)
    second = ingestion.server.requests(NAME)[1].headers
    assert (second["range"], second["if-range"]) == (f"bytes={6 * MEBI}-", '"v1"')


def test_a_stalled_body_is_resumed_after_the_read_timeout(ingestion: Ingestion) -> None:
    body = random_bytes(7)
    ingestion.server.host(NAME, body, Trick(stall_after=6 * MEBI))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, **pinned(body)))
    assert (outcome.state, outcome.resumes) == (ShardState.FETCHED, 1)
    assert ingestion.body(KEY) == body
    assert ingestion.server.sent[NAME] == len(body)


def test_a_server_that_ignores_ranges_is_read_and_discarded_counted(ingestion: Ingestion) -> None:
    body = random_bytes(7)
    ingestion.server.host(NAME, body, Trick(cut_after=6 * MEBI), Trick(ignore_range=True))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, **pinned(body)))
    assert (outcome.state, outcome.discarded_bytes) == (ShardState.FETCHED, 6 * MEBI)
    assert ingestion.body(KEY) == body


def test_a_wrong_content_range_is_not_believed(ingestion: Ingestion) -> None:
    body = random_bytes(7)
    tricks = [Trick(cut_after=6 * MEBI), Trick(shift_range=10)]
    ingestion.server.host(NAME, body, *tricks)
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert outcome.state is ShardState.FETCHED
    assert ingestion.body(KEY) == body
    assert "range" not in ingestion.server.requests(NAME)[2].headers


def test_a_file_that_changes_midway_is_fetched_from_the_start(ingestion: Ingestion) -> None:
    old, new = random_bytes(12), random_bytes(11)
    hosted = ingestion.server.host(NAME, old, Trick(cut_after=6 * MEBI))
    ingestion.server.files[NAME].tricks.append(Trick(status=500))
    assert ingestion.fetch_one(ingestion.shard("absent")).state is ShardState.REFUSED

    def change(_: float) -> None:
        hosted.body, hosted.etag = new, '"v2"'

    ingestion.waited = _Calls(change)  # type: ignore[assignment]
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert (outcome.state, outcome.restarts) == (ShardState.FETCHED, 1)
    assert ingestion.body(KEY) == new
    ingestion.leaves_nothing_behind()


class _Calls(list[float]):
    """A list of waits that does something at each of them."""

    def __init__(self, action: Any) -> None:
        super().__init__()
        self.append = action  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", [ChecksumKind.SHA256, ChecksumKind.MD5])
def test_wrong_bytes_are_quarantined_with_a_note_and_never_seen_below_the_raw_prefix(
    ingestion: Ingestion, kind: ChecksumKind
) -> None:
    body, other = random_bytes(6), random_bytes(6)
    ingestion.server.host(NAME, other)
    outcome = ingestion.fetch_one(ingestion.shard(NAME, **pinned(body, kind)))
    assert outcome.state is ShardState.QUARANTINED and "checksum" in outcome.reason
    assert ingestion.keys("mirror/") == []
    assert ingestion.body(f"quarantine/mirror/{NAME}") == other
    note = parse_json(QuarantineNote, ingestion.body(f"quarantine/mirror/{NAME}.why.json"), where="note")
    assert note.expected == f"{kind.value} {hashlib.new(kind.value, body).hexdigest()}"
    assert note.got == f"{kind.value} {hashlib.new(kind.value, other).hexdigest()}"
    assert (note.size_bytes, note.sha256) == (len(other), sha256(other))
    ingestion.leaves_nothing_behind()


def test_another_size_than_published_is_noted_without_fetching_it(ingestion: Ingestion) -> None:
    ingestion.server.host(NAME, random_bytes(6))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, size_bytes=10))
    assert outcome.state is ShardState.QUARANTINED and outcome.received_bytes == 0
    assert ingestion.keys("quarantine/") == [f"quarantine/mirror/{NAME}.why.json"]
    note = parse_json(QuarantineNote, ingestion.body(f"quarantine/mirror/{NAME}.why.json"), where="note")
    assert (note.size_bytes, note.sha256) == (0, "")


def test_a_content_length_that_is_too_short_is_found_out_by_the_checksum(ingestion: Ingestion) -> None:
    body = random_bytes(1)
    ingestion.server.host(NAME, body, always=Trick(announce=1000))
    checksum = pinned(body)["checksum"]
    outcome = ingestion.fetch_one(ingestion.shard(NAME, checksum=checksum))
    assert outcome.state is ShardState.QUARANTINED
    assert ingestion.keys("mirror/") == []


def test_a_content_length_that_is_too_long_never_becomes_a_shard(ingestion: Ingestion) -> None:
    body = random_bytes(0.5)
    ingestion.server.host(NAME, body, always=Trick(announce=len(body) + 100))
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert outcome.state in (ShardState.UNAVAILABLE, ShardState.REFUSED)
    assert ingestion.keys("mirror/") == []


def test_without_a_length_the_published_size_tells_a_cut(ingestion: Ingestion) -> None:
    body = random_bytes(2)
    cut = Trick(no_length=True, cut_after=MEBI)
    ingestion.server.host(NAME, body, cut, always=Trick(no_length=True))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, size_bytes=len(body)))
    assert (outcome.state, outcome.resumes) == (ShardState.FETCHED, 1)
    assert ingestion.body(KEY) == body


def test_an_empty_file_is_no_shard(ingestion: Ingestion) -> None:
    ingestion.server.host(NAME, b"")
    assert ingestion.fetch_one(ingestion.shard(NAME)).state is ShardState.QUARANTINED
    assert ingestion.keys("mirror/") == []


def test_a_server_that_asks_for_patience_gets_it(ingestion: Ingestion) -> None:
    body = random_bytes(0.1)
    busy = Trick(status=429, headers={"Retry-After": "3"})
    ingestion.server.host(NAME, body, busy, Trick(status=500))
    assert ingestion.fetch_one(ingestion.shard(NAME, **pinned(body))).state is ShardState.FETCHED
    assert len(ingestion.waited) == 2
    assert ingestion.waited[0] >= 3 > ingestion.waited[1]


def test_a_server_that_asks_for_too_much_patience_is_left_alone(ingestion: Ingestion) -> None:
    ingestion.server.host(NAME, b"x", always=Trick(status=503, headers={"Retry-After": "3600"}))
    assert ingestion.fetch_one(ingestion.shard(NAME)).state is ShardState.UNAVAILABLE
    assert (ingestion.waited, len(ingestion.server.requests(NAME))) == ([], 1)


def test_a_server_that_only_fails_is_not_asked_for_every_shard(ingestion: Ingestion) -> None:
    for number in range(6):
        ingestion.server.host(str(number), b"x", always=Trick(status=500))
    report = ingestion.fetch(*(ingestion.shard(str(number)) for number in range(6)))
    assert {outcome.state for outcome in report.outcomes} == {ShardState.UNAVAILABLE}
    assert [len(ingestion.server.requests(str(number))) for number in range(6)] == [3, 3, 3, 0, 0, 0]


def test_the_next_try_begins_with_what_this_one_did_not_ask_for(ingestion: Ingestion) -> None:
    for number in range(6):
        trick = Trick(status=500) if number < 3 else Trick()
        ingestion.server.host(str(number), random_bytes(0.01), always=trick)
    shards = [ingestion.shard(str(number)) for number in range(6)]
    assert [outcome.tried for outcome in ingestion.fetch(*shards).outcomes] == [True] * 3 + [False] * 3
    second = ingestion.fetch(*shards)
    assert {o.name for o in second.outcomes if o.state is ShardState.FETCHED} == {"3", "4", "5"}
    assert ingestion.keys("mirror/") == ["mirror/3", "mirror/4", "mirror/5"]


def test_a_server_that_asks_for_an_hour_is_asked_for_no_other_shard(ingestion: Ingestion) -> None:
    busy = Trick(status=429, headers={"Retry-After": "3600"})
    for number in range(3):
        ingestion.server.host(str(number), b"x", always=busy)
    report = ingestion.fetch(*(ingestion.shard(str(number)) for number in range(3)))
    assert [len(ingestion.server.requests(str(number))) for number in range(3)] == [1, 0, 0]
    with pytest.raises(SourceUnavailable, match="asked for 3600 s of patience"):
        require_good(report.outcomes, "b")


def test_what_a_try_left_staged_when_it_died_after_publishing_is_taken_away(ingestion: Ingestion) -> None:
    body = random_bytes(0.1)
    ingestion.server.host(NAME, body)
    assert ingestion.fetch_one(ingestion.shard(NAME)).state is ShardState.FETCHED
    staged = ingestion.layout.staged(ingestion.target(NAME))
    ingestion.s3.put_object(Bucket=staged.bucket, Key=staged.key, Body=body)
    assert ingestion.fetch_one(ingestion.shard(NAME)).state is ShardState.FETCHED
    ingestion.leaves_nothing_behind()


def test_more_parts_than_s3_takes_leave_nothing_that_another_part_size_would_meet(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.ingest.staging.MOST_PARTS", 1)
    ingestion.server.host(NAME, random_bytes(11), always=Trick(no_length=True))
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert outcome.state is ShardState.REFUSED and "raise ingestion.part_mib" in outcome.reason
    ingestion.leaves_nothing_behind()


def test_the_other_shards_go_on(ingestion: Ingestion) -> None:
    good = random_bytes(0.1)
    ingestion.server.host("bad", b"wrong")
    ingestion.server.host("good", good)
    shards = (
        ingestion.shard("bad", size_bytes=5, checksum=pinned(good)["checksum"]),
        ingestion.shard("missing"),
    )
    report = ingestion.fetch(*shards, ingestion.shard("good"))
    states = [outcome.state for outcome in report.outcomes]
    assert states == [ShardState.QUARANTINED, ShardState.REFUSED, ShardState.FETCHED]
    assert ingestion.keys("mirror/") == ["mirror/good"]


def test_redirects_are_followed_also_to_signed_urls(ingestion: Ingestion) -> None:
    body = random_bytes(0.1)
    signed = f"target?signature={'x' * 3000}"
    ingestion.server.host(signed, body)
    ingestion.server.host(NAME, b"", always=Trick(status=302, headers={"Location": f"/{signed}"}))
    assert ingestion.fetch_one(ingestion.shard(NAME, **pinned(body))).state is ShardState.FETCHED
    assert ingestion.metadata(KEY)["source-url"] == ingestion.server.url(NAME)


def test_a_signature_does_not_get_into_the_report(ingestion: Ingestion) -> None:
    signed = "http://169.254.169.254/x?signature=secret"
    ingestion.server.host(NAME, b"", always=Trick(status=302, headers={"Location": signed}))
    assert "secret" not in ingestion.fetch_one(ingestion.shard(NAME)).reason


@pytest.mark.parametrize(
    "location",
    [
        f"/{NAME}",  # in a circle
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://[fe80::1]/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "",
    ],
)
def test_a_redirect_to_nowhere_good_is_refused(ingestion: Ingestion, location: str) -> None:
    headers = {"Location": location} if location else {}
    ingestion.server.host(NAME, b"", always=Trick(status=302, headers=headers))
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert outcome.state is ShardState.REFUSED, outcome
    assert ingestion.keys("mirror/") == []
    assert len(ingestion.server.requests(NAME)) == (6 if location == f"/{NAME}" else 1)


def test_a_shard_that_is_there_is_skipped_and_not_asked_for(ingestion: Ingestion) -> None:
    body = random_bytes(0.1)
    ingestion.server.host(NAME, body)
    shard = ingestion.shard(NAME, **pinned(body))
    ingestion.fetch_one(shard)
    outcome = ingestion.fetch_one(shard, run="the next")
    assert (outcome.state, outcome.sha256) == (ShardState.PRESENT, sha256(body))
    again = ingestion.fetch_one(shard)  # another try of the run that fetched it: it is this run's to announce
    assert (again.state, again.received_bytes) == (ShardState.FETCHED, len(body))
    assert len(ingestion.server.requests(NAME)) == 1


def test_a_shard_that_its_source_replaced_is_fetched_again(ingestion: Ingestion) -> None:
    old, new = random_bytes(0.1), random_bytes(0.1)
    ingestion.server.host(NAME, old)
    ingestion.fetch_one(ingestion.shard(NAME, **pinned(old)))
    ingestion.server.host(NAME, new, etag='"v2"')
    assert ingestion.fetch_one(ingestion.shard(NAME, **pinned(new))).state is ShardState.FETCHED
    assert ingestion.body(KEY) == new


def test_a_shard_whose_source_pins_another_etag_is_fetched_again(ingestion: Ingestion) -> None:
    old, new = random_bytes(0.1), random_bytes(0.1)
    first, second = (ingestion.shard(NAME, checksum=Checksum(ChecksumKind.ETAG, tag)) for tag in ("v1", "v2"))
    ingestion.server.host(NAME, old, etag='"v1"')
    assert ingestion.fetch_one(first).state is ShardState.FETCHED
    assert ingestion.metadata(KEY)["source-etag"] == '"v1"'
    assert ingestion.fetch_one(first, run="the next").state is ShardState.PRESENT
    ingestion.server.host(NAME, new, etag='"v2"')
    assert ingestion.fetch_one(second, run="the last").state is ShardState.FETCHED
    assert (ingestion.body(KEY), ingestion.metadata(KEY)["source-etag"]) == (new, '"v2"')


def test_a_shard_whose_version_nobody_kept_is_not_fetched_again_for_its_pin(ingestion: Ingestion) -> None:
    body = random_bytes(0.1)
    ingestion.server.host(NAME, body, etag="")
    ingestion.fetch_one(ingestion.shard(NAME))
    assert "source-etag" not in ingestion.metadata(KEY)
    pinned_by_etag = ingestion.shard(NAME, checksum=Checksum(ChecksumKind.ETAG, "v1"))
    assert ingestion.fetch_one(pinned_by_etag, run="the next").state is ShardState.PRESENT


def test_a_shard_whose_md5_was_published_is_compared_by_it_when_its_source_changes(
    ingestion: Ingestion,
) -> None:
    old, new = random_bytes(0.1), random_bytes(0.1)
    ingestion.server.host(NAME, old)
    ingestion.fetch_one(ingestion.shard(NAME, **pinned(old, ChecksumKind.MD5)))
    same = ingestion.shard(NAME, **pinned(old, ChecksumKind.MD5))
    assert ingestion.fetch_one(same, run="the next").state is ShardState.PRESENT
    ingestion.server.host(NAME, new, etag='"v2"')
    replaced = ingestion.shard(NAME, **pinned(new, ChecksumKind.MD5))
    assert ingestion.fetch_one(replaced, run="the last").state is ShardState.FETCHED
    assert ingestion.body(KEY) == new


def test_a_shard_that_was_damaged_where_it_lies_is_moved_away_and_fetched_again(
    ingestion: Ingestion,
) -> None:
    body = random_bytes(0.1)
    ingestion.server.host(NAME, body)
    shard = ingestion.shard(NAME, **pinned(body))
    ingestion.fetch_one(shard)
    metadata = ingestion.metadata(KEY)
    ingestion.s3.put_object(Bucket=ingestion.bucket, Key=KEY, Body=b"x" * len(body), Metadata=metadata)
    # not looked into without being asked to
    assert ingestion.fetch_one(shard, run="the next").state is ShardState.PRESENT
    assert ingestion.fetch_one(shard, run="the next", verify=True).state is ShardState.FETCHED
    assert ingestion.body(KEY) == body
    assert ingestion.body(f"quarantine/mirror/{NAME}") == b"x" * len(body)
    assert ingestion.fetch_one(shard, run="the last", verify=True).state is ShardState.PRESENT


def test_an_object_that_ingestion_did_not_write_is_not_written_over(ingestion: Ingestion) -> None:
    ingestion.server.host(NAME, b"new")
    ingestion.s3.put_object(Bucket=ingestion.bucket, Key=KEY, Body=b"somebody's own")
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert outcome.state is ShardState.REFUSED and "did not write" in outcome.reason
    assert ingestion.body(KEY) == b"somebody's own"


def test_a_large_shard_is_copied_in_parts(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "LARGEST_COPY_BYTES", PART)
    monkeypatch.setattr(transfers, "_COPY_PART_BYTES", PART)
    body = random_bytes(11)
    ingestion.server.host(NAME, body)
    assert ingestion.fetch_one(ingestion.shard(NAME, **pinned(body))).state is ShardState.FETCHED
    assert ingestion.body(KEY) == body
    assert ingestion.metadata(KEY)["sha256"] == sha256(body)
    assert ingestion.s3.head_object(Bucket=ingestion.bucket, Key=KEY)["ETag"].endswith('-3"')
    ingestion.leaves_nothing_behind()


def test_other_bytes_than_were_verified_are_not_published(ingestion: Ingestion) -> None:
    staged, target = ingestion.layout.staged(ingestion.target(NAME)), ingestion.target(NAME)
    ingestion.s3.put_object(Bucket=ingestion.bucket, Key=staged.key, Body=b"verified")
    digests = digests_of(ingestion.store, staged, with_md5=False)
    ingestion.s3.put_object(Bucket=ingestion.bucket, Key=staged.key, Body=b"replaced")
    with pytest.raises(IntegrityError, match="not the one that the request names"):
        publishing.publish(ingestion.store, staged, target, digests, {})
    assert ingestion.keys("mirror/") == []
