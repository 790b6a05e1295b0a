"""Lists, plans, manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import InputError, IntegrityError, RecipeError
from include.contracts.ingestion import BatchRequest, ShardState
from include.contracts.storage import S3Uri
from include.ingest.errors import SourceRefused, SourceUnavailable
from include.ingest.outcomes import require_good, require_whole
from include.ingest.ranges import Validator
from include.ingest.run import IngestionRequest, fetch_batch, plan_run, summarise
from include.ingest.staging import StagedUpload
from include.planning.corpus_inputs import split_inputs
from tests.dags.ingestion.conftest import MEBI, Ingestion, random_bytes, sha256
from tests.dags.ingestion.hostile_server import Trick

REQUEST = IngestionRequest("mirror", {}, "*", 0, "", False, False)
BODIES = {f"train/{n:02d}.jsonl.zst": random_bytes(0.01 * (n + 1)) for n in range(5)}


@pytest.fixture
def lists(ingestion: Ingestion) -> Ingestion:
    """Five shards with a list of them and of their checksums, but for the last."""
    for name, body in BODIES.items():
        ingestion.server.host(name, body)
    ingestion.server.host("list.txt", "\n".join([*BODIES, "", ""]).encode())
    sums = [f"{sha256(body)}  ./{name}" for name, body in list(BODIES.items())[:-1]]
    ingestion.server.host("SHA256SUMS", "\n".join(sums).encode())
    return ingestion


def batches(ingestion: Ingestion, uris: list[str]) -> list[BatchRequest]:
    return [ingestion.store.read_record(BatchRequest, S3Uri.parse(uri)) for uri in uris]


def test_a_plan_resolves_the_lists_into_batches(lists: Ingestion) -> None:
    planned, uris = plan_run(lists.settings, "run", REQUEST)
    assert (planned.shards, planned.present, planned.batches, planned.without_checksum) == (5, 0, 3, 1)
    assert planned.of_unknown_size == 5
    requests = batches(lists, uris)
    found = {shard.name: shard for request in requests for shard in request.shards}
    assert set(found) == set(BODIES)
    first = found["train/00.jsonl.zst"]
    assert first.checksum and first.checksum.value == sha256(BODIES[first.name])
    assert {request.target_uri for request in requests} == {f"s3://{lists.bucket}/mirror/"}


def test_a_dry_run_writes_nothing(lists: Ingestion) -> None:
    planned, uris = plan_run(lists.settings, "run", replace(REQUEST, dry_run=True, max_shards=2))
    assert (planned.shards, uris, lists.keys()) == (2, [], [])


def test_a_run_from_plan_to_manifest_and_again(lists: Ingestion) -> None:
    planned, uris = plan_run(lists.settings, "run", REQUEST)
    for uri in uris:
        require_good(fetch_batch(lists.settings, "run", uri).outcomes, uri)
    manifest, reference = summarise(lists.settings, "run", vars(planned))
    assert manifest.counts["fetched"] == 5 and manifest.size_bytes == sum(map(len, BODIES.values()))
    assert {shard.name: shard.sha256 for shard in manifest.shards} == {
        n: sha256(b) for n, b in BODIES.items()
    }
    assert lists.store.reference(S3Uri.parse(reference.uri)) == reference
    assert lists.keys("mirror/") == [f"mirror/{name}" for name in BODIES]

    again, uris = plan_run(lists.settings, "again", replace(REQUEST, include="train/0[12]*"))
    assert (again.shards, again.present) == (2, 2)
    for uri in uris:
        fetch_batch(lists.settings, "again", uri)
    assert summarise(lists.settings, "again", vars(again))[0].counts["present"] == 2
    assert all(len(lists.server.requests(name)) == 1 for name in BODIES)


def test_a_corpus_never_reads_what_ingestion_keeps_for_itself(lists: Ingestion) -> None:
    lists.server.files["train/00.jsonl.zst"].body = b"not what was promised"
    planned, uris = plan_run(lists.settings, "run", REQUEST)
    for uri in uris:
        fetch_batch(lists.settings, "run", uri)
    summarise(lists.settings, "run", vars(planned))
    assert lists.keys("quarantine/") and lists.keys("_ingestion/")
    listing = split_inputs(lists.store.list(S3Uri(lists.bucket, "")))
    names = [shard.uri.removeprefix(f"s3://{lists.bucket}/mirror/") for shard in listing.shards]
    assert names == list(BODIES)[1:]
    assert listing.left_out == ()


def test_a_batch_that_never_reported_is_in_the_manifest_as_unavailable(lists: Ingestion) -> None:
    planned, uris = plan_run(lists.settings, "run", REQUEST)
    fetch_batch(lists.settings, "run", uris[0])
    manifest, _ = summarise(lists.settings, "run", vars(planned))
    assert 0 < manifest.counts["unavailable"] < 5
    with pytest.raises(InputError, match=r"unavailable.*clear the red `fetch` tasks with downstream"):
        require_whole(manifest, "run")  # a retry of the task `publish` cannot fix this


def test_no_report_of_an_earlier_try_or_plan_stands_for_a_batch_that_was_killed(
    lists: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_all(uris: list[str]) -> None:
        for uri in uris:
            fetch_batch(lists.settings, "run", uri)

    planned, uris = plan_run(lists.settings, "run", REQUEST)
    run_all(uris)
    assert summarise(lists.settings, "run", vars(planned))[0].counts["fetched"] == 5

    with monkeypatch.context() as patch:
        patch.setattr("include.ingest.fetch.Fetcher.fetch", _killed)
        with pytest.raises(_Killed):
            fetch_batch(lists.settings, "run", uris[0])
    assert summarise(lists.settings, "run", vars(planned))[0].counts["unavailable"] > 0
    run_all(uris)
    planned, _ = plan_run(lists.settings, "run", REQUEST)  # cleared
    assert summarise(lists.settings, "run", vars(planned))[0].counts["unavailable"] == 5


def test_the_manifest_counts_what_all_tries_took_that_came_to_their_end(
    lists: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, body = "train/04.jsonl.zst", random_bytes(6)
    hosted = lists.server.host(name, body, Trick(cut_after=2 * MEBI), always=Trick(status=503))
    planned, uris = plan_run(lists.settings, "run", replace(REQUEST, include=name))

    def fetch() -> None:
        fetch_batch(lists.settings, "run", uris[0], sleep=lambda _: None)

    def counted() -> tuple[str, int, int]:
        (shard,) = summarise(lists.settings, "run", vars(planned))[0].shards
        return shard.state.value, shard.received_bytes, shard.resumes

    fetch()
    state, received, resumes = counted()
    assert state == "unavailable" and received == lists.server.sent[name] > 0 and resumes > 0
    with monkeypatch.context() as patch:
        patch.setattr("include.ingest.fetch.Fetcher.fetch", _killed)
        with pytest.raises(_Killed):
            fetch()
    assert counted() == ("unavailable", received, resumes)
    hosted.always = Trick()
    fetch()
    assert counted()[:2] == ("fetched", lists.server.sent[name])
    fetch()  # finds it there
    assert counted()[:2] == ("fetched", lists.server.sent[name])
    assert counted()[2] >= resumes


class _Killed(BaseException):
    """As a worker ends that is killed."""


def _killed(*_: Any) -> None:
    raise _Killed


def test_errors_tell_whether_a_retry_can_help(lists: Ingestion) -> None:
    lists.server.host("bad", b"x")
    refused = lists.fetch(lists.shard("missing")).outcomes
    quarantined = lists.fetch(lists.shard("bad", size_bytes=9)).outcomes
    lists.server.host("down", b"x", always=Trick(status=503))
    unavailable = lists.fetch(lists.shard("down")).outcomes
    with pytest.raises(InputError, match="1 refused"):
        require_good(refused, "b")
    with pytest.raises(IntegrityError, match="1 quarantined"):
        require_good(refused + quarantined, "b")
    with pytest.raises(SourceUnavailable, match="1 unavailable"):
        require_good(refused + quarantined + unavailable, "b")


def test_an_unfinished_upload_of_another_version_is_aborted_by_the_plan(lists: Ingestion) -> None:
    for name, etag in (("train/00.jsonl.zst", '"v0"'), ("train/01.jsonl.zst", '"v1"')):
        upload = StagedUpload(lists.store, lists.target(name), lists.server.url(name), 5 * MEBI)
        upload.adopt(Validator(etag))
        upload.write(random_bytes(6))
    assert plan_run(lists.settings, "dry", replace(REQUEST, dry_run=True))[0].stale_uploads == 0
    assert plan_run(lists.settings, "run", REQUEST)[0].stale_uploads == 1
    staged = lists.layout.staged(lists.target("train/01.jsonl.zst"))
    assert [upload["Key"] for upload in lists.uploads()] == [staged.key]


def test_a_list_is_tried_again_and_bounded(lists: Ingestion) -> None:
    lists.server.files["list.txt"].tricks = [Trick(status=503), Trick(cut_after=3)]
    assert plan_run(lists.settings, "run", REQUEST, sleep=lambda _: None)[0].shards == 5
    source = next(Path(lists.settings.ingestion.sources_folder).glob("*.toml"))
    source.write_text("max_listing_bytes = 20\n" + source.read_text())
    with pytest.raises(SourceRefused, match="20 bytes"):
        plan_run(lists.settings, "run", REQUEST)


def test_a_part_of_a_list_is_not_taken_for_the_list(lists: Ingestion) -> None:
    lists.server.files["list.txt"].always = Trick(headers={"Content-Range": "bytes 0-9/100"}, status=206)
    with pytest.raises(SourceRefused, match="a part of the list"):
        plan_run(lists.settings, "run", REQUEST)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("../../etc/passwd", "may not be fetched"),
        ("a/../../b", "may not be fetched"),
        ("a b", "may not be fetched"),
        ("a.why.json", "quarantine notes"),
        ("x" * 2000, "may not be fetched"),
    ],
)
def test_a_list_cannot_name_what_lies_outside(lists: Ingestion, line: str, says: str) -> None:
    lists.server.host("list.txt", line.encode())
    with pytest.raises(InputError, match=says):
        plan_run(lists.settings, "run", REQUEST)


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        (replace(REQUEST, source="other"), RecipeError, "mirror|the_pile"),
        (replace(REQUEST, include="none*"), InputError, "no shard is selected"),
        (replace(REQUEST, select={"snapshot": ["2023-14"]}), RecipeError, "no choices"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(
    lists: Ingestion, wanted: IngestionRequest, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        plan_run(lists.settings, "run", wanted)


def test_sums_that_are_none_are_refused_with_the_line(lists: Ingestion) -> None:
    lists.server.host("SHA256SUMS", b"<html>not found</html>")
    with pytest.raises(InputError, match="line 1"):
        plan_run(lists.settings, "run", REQUEST)


def _source(lists: Ingestion, text: str) -> None:
    path = next(Path(lists.settings.ingestion.sources_folder).glob("*.toml"))
    head = path.read_text().partition("[[listings]]")[0]
    path.write_text(head + text.replace("BASE/", lists.server.url("")))


def test_a_hugging_face_tree_gives_sizes_and_checksums_over_its_pages(lists: Ingestion) -> None:
    def entry(name: str, **more: Any) -> dict[str, Any]:
        return {"type": "file", "path": name, "oid": "0" * 40, "size": 130, **more}

    lfs = {name: {"oid": sha256(body), "size": len(body)} for name, body in BODIES.items()}
    names = list(BODIES)
    first = [entry(name, lfs=lfs[name]) for name in names[:3]]
    second = [entry(name, lfs=lfs[name]) for name in names[3:]]
    more = [entry("README.md"), {"type": "directory", "path": "train"}]
    link = {"Link": f'<{lists.server.url("page2")}>; rel="next"'}
    lists.server.host("tree", json.dumps(first + more).encode(), always=Trick(headers=link))
    lists.server.host("page2", json.dumps(second).encode())
    _source(
        lists,
        '[[listings]]\nkind = "hugging_face"\nurl = "BASE/tree"\ninclude = "*.jsonl.zst"\n'
        '[[listings.components]]\nname = "shards"\nurl = "BASE/{path}"\n',
    )
    planned, uris = plan_run(lists.settings, "run", REQUEST)
    assert (planned.shards, planned.without_checksum, planned.of_unknown_size) == (5, 0, 0)
    assert planned.to_fetch_bytes == sum(map(len, BODIES.values()))
    states = {o.state for uri in uris for o in fetch_batch(lists.settings, "run", uri).outcomes}
    assert states == {ShardState.FETCHED}


def test_choices_fill_the_lists_and_components_stand_beside_their_documents(lists: Ingestion) -> None:
    for tag in ("en-2023-14", "de-2023-14"):
        language = tag[:2]
        lists.server.host(f"lists/{tag}.txt", f"2023-14/0000/{language}_head\n".encode())
    lists.server.host("missing.txt", f"{lists.server.url('s/2023-14/0001/en_head.gz')}\n".encode())
    lists.server.files["lists/en-2023-14.txt"].body += b"2023-14/0001/en_head\n"
    _source(
        lists,
        '[choices.snapshot]\nvalues = ["2023-14"]\ndefault = ["2023-14"]\n'
        '[choices.language]\nvalues = ["en", "de"]\ndefault = ["en"]\n'
        '[choices.component]\nvalues = ["documents", "signals"]\ndefault = ["documents"]\n'
        '[[listings]]\nurl = "BASE/lists/{language}-{snapshot}.txt"\n'
        '[[listings.components]]\nname = "documents"\nurl = "BASE/d/{path}.json.gz"\n'
        'target = "documents/{path}.json.gz"\nonly = { component = ["documents"] }\n'
        '[[listings.components]]\nname = "signals"\nurl = "BASE/s/{path}.gz"\n'
        'target = "quality_signals/{path}.signals.json.gz"\n'
        'only = { component = ["signals"], language = ["en"] }\nmissing_list = "BASE/missing.txt"\n',
    )

    def names(**select: list[str]) -> list[str]:
        uris = plan_run(lists.settings, "run", replace(REQUEST, select=select))[1]
        return sorted(shard.name for request in batches(lists, uris) for shard in request.shards)

    assert names() == [f"documents/2023-14/000{n}/en_head.json.gz" for n in (0, 1)]
    assert names(language=["en", "de"], component=["documents", "signals"]) == [
        "documents/2023-14/0000/de_head.json.gz",
        "documents/2023-14/0000/en_head.json.gz",
        "documents/2023-14/0001/en_head.json.gz",
        "quality_signals/2023-14/0000/en_head.signals.json.gz",
    ]
    wanted = replace(REQUEST, select={"component": ["signals"]})
    assert plan_run(lists.settings, "run", wanted)[0].known_missing == 1
