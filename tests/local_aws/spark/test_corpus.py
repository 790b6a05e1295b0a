"""A small corpus through the three Spark jobs on each engine: the manifest is the same, byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from include.aws.emr_cluster import cluster_request
from include.aws.engines import Engine
from include.aws.job_states import JobView
from include.aws.jobs import Jobs, jobs_of
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.planning.corpus import plan_corpus
from include.planning.job_code import upload_code
from include.recipes.corpus import CorpusRecipe
from include.recipes.loading import packaged_recipe
from include.settings import load_settings
from infrastructure.packaging.build import ROOT, build
from local_aws.jobs.processes import marked
from tests.local_aws.conftest import LocalAws
from tests.support.waiting import wait_until

STANDARD = packaged_recipe(CorpusRecipe, "corpora", "standard")
#: With verification deduplicate has Spark write folders in S3, and read them again.
RECIPE = replace(STANDARD, near_dedup=replace(STANDARD.near_dedup, verify=True))
JOBS = ("clean", "deduplicate", "tokenise")
SETTINGS = load_settings("dev")
pytestmark = pytest.mark.timeout(900)


def shard() -> bytes:
    """Sources of this repository as documents, one of them twice, and some with a line more."""
    texts = [path.read_text() for path in sorted((ROOT / "include").rglob("*.py"))]
    texts = [text for text in texts if len(text) > 800]
    more = [text + "# the end\n" for text in texts[:8]]
    return "".join(json.dumps({"text": text}) + "\n" for text in [*texts, texts[0], *more]).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A server of its own, to which the environment points, with the packaged code and one shard."""
    folder = tmp_path_factory.mktemp("engines")
    server = LocalAws(folder / "aws")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        client = server.client("s3")
        storage = SETTINGS.storage
        for bucket in (storage.raw_bucket, storage.processed_bucket):
            client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=storage.raw_bucket, Key="pile/00.jsonl", Body=shard())
        build(ROOT, folder / "package")
        upload_code(ObjectStore(client), folder / "package", storage.artifacts)
        yield server
    server.end()


@pytest.fixture(scope="module")
def s3(server: LocalAws) -> Any:
    return server.client("s3")


def built_by(
    engine: Engine, s3: Any, kills: Sequence[Callable[[CorpusLayout], None]] = ()
) -> dict[str, bytes]:
    """Build the corpus again by ``engine``; return its manifest and all files that the manifest lists.

    Each of ``kills`` is called while a run of deduplicate goes on, and must end it; one more run follows.
    """
    plan = plan_corpus(SETTINGS, SETTINGS.storage.raw, RECIPE, force=True, dry_run=False)
    place, code = CorpusLayout(S3Uri.parse(plan.root_uri)), S3Uri.parse(plan.code_uri)
    for prefix in (place.documents, place.tokens, place.work):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        for key in [item["Key"] for page in pages for item in page.get("Contents", ())]:
            s3.delete_object(Bucket=prefix.bucket, Key=key)
    cluster, run = "", uuid4().hex[:12]
    if engine is Engine.EMR:
        from include.aws.clients import client

        cluster = client("emr").run_job_flow(**cluster_request(SETTINGS, "corpus", code))["JobFlowId"]
    for job in JOBS:
        jobs = jobs_of(engine.kind, cluster or engine.scope(SETTINGS, job))
        request = engine.request(SETTINGS, job, code, place.request)
        for generation, kill in enumerate(kills if job == "deduplicate" else ()):
            jobs.submit(f"{job}-{run}-g{generation}", request, _HASH)
            kill(place)
            assert _end(jobs, f"{job}-{run}-g{generation}").state.value == "failed"
        jobs.submit(f"{job}-{run}-g{len(kills)}", request, _HASH)
        view = _end(jobs, f"{job}-{run}-g{len(kills)}")
        assert view.state.value == "completed", view.reason
    manifest = s3.get_object(Bucket=place.root.bucket, Key=place.manifest.key)["Body"].read()
    return {"manifest": manifest} | {
        entry["path"]: s3.get_object(Bucket=place.root.bucket, Key=(place.root / entry["path"]).key)[
            "Body"
        ].read()
        for entry in json.loads(manifest)["files"]
    }


_HASH = "0" * 64
"""Stands for the hash of a request: none of these jobs is looked up again."""


def _end(jobs: Jobs, name: str) -> JobView:
    return wait_until(lambda: jobs.describe(name), lambda view: not view.state.may_change, seconds=300)


@pytest.fixture(scope="module")
def by_emr(s3: Any) -> dict[str, bytes]:
    return built_by(Engine.EMR, s3)


def test_emr_builds_the_corpus(by_emr: dict[str, bytes]) -> None:
    manifest = json.loads(by_emr["manifest"])
    assert manifest["documents_kept"] > 10 and manifest["tokens"] > 1000
    assert sum(sum(reasons.values()) for reasons in manifest["dropped"].values()) >= 1


@pytest.mark.parametrize("engine", [Engine.EMR_SERVERLESS, Engine.GLUE])
def test_another_engine_builds_the_same_bytes(engine: Engine, by_emr: dict[str, bytes], s3: Any) -> None:
    assert built_by(engine, s3) == by_emr


def test_a_job_killed_while_it_writes_to_s3_is_ended_by_the_next(
    by_emr: dict[str, bytes], s3: Any, server: LocalAws
) -> None:
    def kill_at(written: str, place: CorpusLayout) -> None:
        """SIGKILL to all of the job's processes as soon as it has begun to write this folder."""
        below = place.work / "near_dedup/rounds/round-000"

        def is_there() -> bool:
            found = s3.list_objects_v2(Bucket=below.bucket, Prefix=below.key).get("Contents", ())
            return any(f"/{written}/" in entry["Key"] for entry in found)

        wait_until(is_there, bool, seconds=120)
        for pid in marked(hashlib.sha256(str(server.root.resolve()).encode()).hexdigest()[:12] + ":"):
            os.kill(pid, signal.SIGKILL)
        # what stays when the kill comes between the folder and its first file
        s3.put_object(Bucket=below.bucket, Key=f"{below.key}/{written}/_temporary/0/")

    kills = [partial(kill_at, "texts"), partial(kill_at, "compared")]
    assert built_by(Engine.EMR_SERVERLESS, s3, kills) == by_emr
