"""source_ingestion through a real Airflow: a lost worker, a bad shard, a clear, a second run, a dry run."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dags.ingestion.hostile_server import HostileServer, Trick, hostile_server
from tests.end_to_end.lifecycle_system import REPOSITORY, System, kill_worker, running_system
from tests.support.waiting import wait_until

DAG = "source_ingestion"
BUCKET = "nexus-llm-raw"
MEBI = 1 << 20
PART = 5 * MEBI
SLOW, BAD = "a_slow.jsonl.zst", "b_bad.jsonl.zst"
SOURCE = """
name = "mirror"
title = "A mirror of tests"
homepage = "http://127.0.0.1/"
licence = "CC0-1.0"
raw_prefix = "mirror/"

[politeness]
max_connections = 2
max_attempts = 2
backoff_seconds = 0.1
read_timeout_seconds = 5.0
"""


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with hostile_server() as running:
        yield running


@pytest.fixture(scope="module")
def bodies(server: HostileServer) -> dict[str, bytes]:
    """Six shards; the first comes slowly, the second is not what its source promises."""
    names = [SLOW, BAD, *(f"c{number}.jsonl.zst" for number in range(4))]
    sizes = dict.fromkeys(names, MEBI) | {SLOW: 30 * MEBI + 7}
    bodies = {name: os.urandom(sizes[name]) for name in names}
    for name, body in bodies.items():
        server.host(name, body, always=Trick(seconds_per_block=0.5))  # slow enough to be fetched at once
    server.host(SLOW, bodies[SLOW], Trick(seconds_per_block=0.1))
    server.host(BAD, os.urandom(MEBI))
    return bodies


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, server: HostileServer, bodies: dict[str, bytes]
) -> Iterator[System]:
    base = tmp_path_factory.mktemp("ingestion")
    for folder in ("sources", "dags"):
        (base / folder).mkdir()
    shutil.copy(REPOSITORY / "dags" / f"{DAG}.py", base / "dags")
    shards = [
        f'[[shards]]\nname = "{name}"\nurl = "{server.url(name)}"\n'
        f'size_bytes = {len(body)}\nsha256 = "{hashlib.sha256(body).hexdigest()}"\n'
        for name, body in bodies.items()
    ]
    (base / "sources" / "mirror.toml").write_text(SOURCE + "\n".join(shards))
    more = f'\n[ingestion]\nsources_folder = "{base / "sources"}"\npart_mib = 5\nmax_batches = 6\n'
    with running_system(base / "state", base / "dags", more) as running:
        yield running


def run_state(system: System, run: str) -> str:
    return str(system.get(f"dags/{DAG}/dagRuns/{run}")["state"])


def ends(system: System, run: str) -> str:
    """Wait for a run, and return its final state."""
    return wait_until(
        lambda: run_state(system, run),
        lambda state: state in ("success", "failed"),
        seconds=180,
        every_seconds=0.5,
        what=run,
    )


def tasks(system: System, run: str) -> list[dict[str, Any]]:
    return list(system.get(f"dags/{DAG}/dagRuns/{run}/taskInstances")["task_instances"])


def states(system: System, run: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for task in tasks(system, run):
        found.setdefault(task["task_id"], []).append(task["state"])
    return {name: sorted(values) for name, values in found.items()}


def keys(system: System, prefix: str) -> list[str]:
    listed = system.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", ())]


def parts_of_slow(system: System) -> int:
    uploads = system.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    mine = [upload for upload in uploads if upload["Key"].endswith(SLOW)]
    listed = [
        system.s3.list_parts(Bucket=BUCKET, Key=u["Key"], UploadId=u["UploadId"]).get("Parts", ())
        for u in mine
    ]
    return sum(len(parts) for parts in listed)


@pytest.fixture(scope="module")
def first(system: System, server: HostileServer, bodies: dict[str, bytes]) -> str:
    """A run whose worker is lost while it fetches the slow shard, and which meets the bad one."""
    run = system.trigger(DAG, source="mirror")
    wait_until(
        lambda: parts_of_slow(system),
        lambda parts: parts >= 2,
        every_seconds=0.2,
        what="parts of the slow shard in S3",
    )
    running = [t for t in tasks(system, run) if t["task_id"] == "fetch" and t["state"] == "running"]
    slow = next(task for task in running if SLOW in _shards_of(system, run, task["map_index"]))
    kill_worker(int(slow["pid"]))
    assert ends(system, run) == "failed"
    return run


def _shards_of(system: System, run: str, index: int) -> str:
    found = next(key for key in keys(system, "_ingestion/runs/") if key.endswith(f"batches/{index:04d}.json"))
    return str(system.s3.get_object(Bucket=BUCKET, Key=found)["Body"].read().decode())


def test_a_lost_worker_is_continued_and_a_bad_shard_stops_nothing_else(
    system: System, server: HostileServer, bodies: dict[str, bytes], first: str
) -> None:
    assert keys(system, "mirror/") == sorted(f"mirror/{name}" for name in bodies if name != BAD)
    for name, body in bodies.items():
        if name != BAD:
            assert system.s3.get_object(Bucket=BUCKET, Key=f"mirror/{name}")["Body"].read() == body
    ranges = [seen.headers.get("range", "") for seen in server.requests(SLOW)]
    assert ranges[0] == "" and ranges[-1].startswith("bytes=") and int(ranges[-1][6:-1]) >= 2 * PART
    # what the lost worker had read beyond its last whole part, and what lay in buffers
    assert server.sent[SLOW] < len(bodies[SLOW]) + 2 * PART
    assert keys(system, "quarantine/") == [f"quarantine/mirror/{BAD}", f"quarantine/mirror/{BAD}.why.json"]
    assert len(server.requests(BAD)) == 1  # no retry fetches it again
    assert states(system, first) == {
        "plan": ["success"],
        "fetch": ["failed", *["success"] * 5],
        "summary": ["success"],
        "publish": ["failed"],
    }


def test_no_more_connections_than_the_source_allows(server: HostileServer, first: str) -> None:
    assert 1 <= len(server.most_open) <= 2


def test_a_clear_after_the_source_was_mended_completes_the_run_and_announces_it(
    system: System, server: HostileServer, bodies: dict[str, bytes], first: str
) -> None:
    server.host(BAD, bodies[BAD])
    body = {"dry_run": False, "dag_run_id": first, "only_failed": True, "include_downstream": True}
    failed = [t for t in tasks(system, first) if t["task_id"] == "fetch" and t["state"] == "failed"]
    ids = [["fetch", failed[0]["map_index"]], "summary", "publish"]
    clear = body | {"only_failed": False, "reset_dag_runs": True, "task_ids": ids}
    system.send("POST", f"dags/{DAG}/clearTaskInstances", clear)
    assert ends(system, first) == "success"
    assert f"mirror/{BAD}" in keys(system, "mirror/")
    (event,) = system.get("assets/events")["asset_events"]
    assert event["extra"]["source_uri"] == f"s3://{BUCKET}/mirror/"
    manifest = event["extra"]["manifest_uri"].removeprefix(f"s3://{BUCKET}/")
    assert b'"fetched": 6' in system.s3.get_object(Bucket=BUCKET, Key=manifest)["Body"].read()


def test_a_second_run_fetches_nothing_and_announces_nothing(
    system: System, server: HostileServer, first: str
) -> None:
    asked = len(server.seen)
    run = system.trigger(DAG, source="mirror")
    assert ends(system, run) == "success"
    assert states(system, run)["publish"] == ["skipped"]
    assert len(server.seen) == asked


def test_a_dry_run_ends_after_the_plan(system: System, first: str) -> None:
    before = keys(system, "")
    run = system.trigger(DAG, source="mirror", dry_run=True)
    assert ends(system, run) == "success"
    assert states(system, run) == {
        "plan": ["success"], "fetch": ["skipped"], "summary": ["skipped"], "publish": ["skipped"]
    }  # fmt: skip
    xcom = system.get(f"dags/{DAG}/dagRuns/{run}/taskInstances/plan/xcomEntries/plan")
    assert "'shards': 6" in str(xcom["value"]) or '"shards": 6' in str(xcom["value"])
    assert keys(system, "") == before
