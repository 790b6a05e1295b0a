"""The next try resumes from the parts that a lost worker has left in S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from include.contracts.ingestion import Checksum, ChecksumKind, ShardState
from include.ingest.ranges import Validator
from include.ingest.staging import StagedUpload, whole_parts
from include.object_store.multipart import Part
from tests.dags.ingestion.conftest import MEBI, ROOT, Ingestion, random_bytes, sha256
from tests.dags.ingestion.hostile_server import Trick
from tests.support.waiting import wait_until

NAME = "train/00.jsonl.zst"
KEY = f"mirror/{NAME}"
PART = 5 * MEBI
FETCH = """
import sys
from include.ingest.run import fetch_batch
from include.settings import load_settings
fetch_batch(load_settings(), "run", sys.argv[1])
"""


def kept_bytes(ingestion: Ingestion) -> int:
    total = 0
    for upload in ingestion.uploads():
        listed = ingestion.s3.list_parts(
            Bucket=ingestion.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
        total += sum(part["Size"] for part in listed.get("Parts", ()))
    return total


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_loses_at_most_a_part_and_the_next_one_fetches_only_the_rest(
    ingestion: Ingestion, how: signal.Signals
) -> None:
    body = random_bytes(32)
    hosted = ingestion.server.host(NAME, body, Trick(seconds_per_block=0.02))
    checksum = Checksum(ChecksumKind.SHA256, sha256(body))
    shard = ingestion.shard(NAME, size_bytes=len(body), checksum=checksum)
    uri = ingestion.write_batch(shard)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    worker = subprocess.Popen([sys.executable, "-c", FETCH, uri], env=environment, cwd=ROOT)
    wait_until(lambda: kept_bytes(ingestion) >= 2 * PART or worker.poll() is not None)
    assert worker.poll() is None
    worker.send_signal(how)
    worker.wait(30)
    wait_until(lambda: not ingestion.server.open_now)
    kept = kept_bytes(ingestion)
    assert 2 * PART <= kept < len(body)
    assert ingestion.keys("mirror/") == []

    ingestion.server.sent.clear()
    hosted.always = Trick()
    outcome = ingestion.fetch_one(shard)
    assert (outcome.state, outcome.resumes) == (ShardState.FETCHED, 1)
    assert outcome.received_bytes == ingestion.server.sent[NAME] == len(body) - kept
    assert ingestion.server.requests(NAME)[-1].headers["range"] == f"bytes={kept}-"
    assert sha256(ingestion.body(KEY)) == sha256(body)
    ingestion.leaves_nothing_behind()


def begun(ingestion: Ingestion, body: bytes, etag: str = '"v1"') -> StagedUpload:
    """Stage ``body`` as a try does that is killed after it."""
    upload = StagedUpload(ingestion.store, ingestion.target(NAME), ingestion.server.url(NAME), PART)
    upload.adopt(Validator(etag, "", 12 * MEBI + 7))
    upload.write(body)
    return upload


def test_an_upload_of_an_earlier_version_is_thrown_away(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body, etag='"v2"')
    begun(ingestion, random_bytes(6))
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert (outcome.state, outcome.restarts) == (ShardState.FETCHED, 1)
    assert ingestion.body(KEY) == body
    ingestion.leaves_nothing_behind()


def test_a_try_that_died_before_the_verification_is_not_fetched_again(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body)
    begun(ingestion, body).finish()
    checksum = Checksum(ChecksumKind.SHA256, sha256(body))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, checksum=checksum))
    assert (outcome.state, outcome.received_bytes) == (ShardState.FETCHED, 0)
    assert ingestion.server.requests(NAME) == []
    assert ingestion.body(KEY) == body
    ingestion.leaves_nothing_behind()


@pytest.mark.parametrize(("etag", "is_fetched"), [('"v1"', False), ('"v2"', True)])
def test_what_is_staged_and_has_no_checksum_is_kept_while_the_server_has_its_version(
    ingestion: Ingestion, etag: str, is_fetched: bool
) -> None:
    staged, now = random_bytes(12), random_bytes(12)
    ingestion.server.host(NAME, now, etag=etag)
    upload = StagedUpload(ingestion.store, ingestion.target(NAME), ingestion.server.url(NAME), PART)
    upload.adopt(Validator('"v1"', "", len(staged)))
    upload.write(staged)
    upload.finish()
    outcome = ingestion.fetch_one(ingestion.shard(NAME))
    assert (outcome.state, outcome.received_bytes) == (ShardState.FETCHED, len(now) if is_fetched else 0)
    assert ingestion.body(KEY) == (now if is_fetched else staged)
    ingestion.leaves_nothing_behind()


def test_what_an_earlier_try_staged_wrongly_is_fetched_again(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body)
    begun(ingestion, random_bytes(12)).finish()
    checksum = Checksum(ChecksumKind.SHA256, sha256(body))
    outcome = ingestion.fetch_one(ingestion.shard(NAME, checksum=checksum))
    assert outcome.state is ShardState.FETCHED
    assert ingestion.body(KEY) == body
    assert ingestion.keys("quarantine/") == []


def test_an_upload_whose_version_nobody_wrote_down_is_aborted(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body)
    staged = ingestion.layout.staged(ingestion.target(NAME))
    ingestion.s3.create_multipart_upload(Bucket=ingestion.bucket, Key=staged.key)
    neighbour = ingestion.s3.create_multipart_upload(Bucket=ingestion.bucket, Key=f"{staged.key}.other")
    assert ingestion.fetch_one(ingestion.shard(NAME)).state is ShardState.FETCHED
    assert [upload["UploadId"] for upload in ingestion.uploads()] == [neighbour["UploadId"]]


def test_an_upload_that_a_lifecycle_rule_aborted_is_begun_anew(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body)
    begun(ingestion, body[: 6 * MEBI])
    for upload in ingestion.uploads():
        ingestion.s3.abort_multipart_upload(
            Bucket=ingestion.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
    assert ingestion.fetch_one(ingestion.shard(NAME)).state is ShardState.FETCHED
    assert ingestion.body(KEY) == body
    ingestion.leaves_nothing_behind()


def test_another_part_size_in_the_settings_does_not_spoil_an_upload(ingestion: Ingestion) -> None:
    body = random_bytes(12)
    ingestion.server.host(NAME, body)
    begun(ingestion, body[: 6 * MEBI])
    upload = StagedUpload(ingestion.store, ingestion.target(NAME), ingestion.server.url(NAME), 7 * MEBI)
    assert upload.offset == PART
    upload.write(body[PART:])
    upload.finish()
    assert ingestion.body(upload.uri.key) == body


def test_parts_count_up_to_the_first_gap_or_short_one() -> None:
    def part(number: int, size: int = PART) -> Part:
        return Part(number, size, f"e{number}")

    assert [p.number for p in whole_parts([part(2), part(1), part(4)], PART)] == [1, 2]
    assert [p.number for p in whole_parts([part(1), part(2, 7)], PART)] == [1]
    assert whole_parts([part(2)], PART) == []


def test_a_shard_is_never_held_as_a_whole(ingestion: Ingestion) -> None:
    body = bytes(200 * MEBI)
    ingestion.server.host(NAME, body)
    measured = f"{FETCH}\nimport resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    idle = "import include.ingest.run, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    uri = ingestion.write_batch(ingestion.shard(NAME, size_bytes=len(body)))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", code, uri], env=environment, cwd=ROOT, text=True))
        for code in (idle, measured)
    ]
    assert ingestion.s3.head_object(Bucket=ingestion.bucket, Key=KEY)["ContentLength"] == len(body)
    assert (peaks[1] - peaks[0]) * 1024 < 100 * MEBI, peaks


@pytest.mark.parametrize("finished", [False, True])
def test_what_was_staged_of_another_version_than_is_pinned_now_is_thrown_away(
    ingestion: Ingestion, finished: bool
) -> None:
    old, new = random_bytes(11), random_bytes(11)
    upload = StagedUpload(ingestion.store, ingestion.target(NAME), ingestion.server.url(NAME), 5 * MEBI)
    upload.adopt(Validator('"v1"'))
    upload.write(old)
    if finished:
        upload.finish()
    ingestion.server.host(NAME, new, etag='"v2"')
    outcome = ingestion.fetch_one(ingestion.shard(NAME, checksum=Checksum(ChecksumKind.ETAG, "v2")))
    assert outcome.state is ShardState.FETCHED
    assert ingestion.body(f"mirror/{NAME}") == new
    ingestion.leaves_nothing_behind()
