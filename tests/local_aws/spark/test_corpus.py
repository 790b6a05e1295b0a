"""A small corpus through the three Spark jobs on each engine: the manifest is the same, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.aws.corpus import plan_corpus
from include.aws.emr import cluster_request
from include.aws.engines import Engine
from include.aws.jobs import jobs_of
from include.contracts.storage import CorpusPlace, S3Uri
from include.recipes.corpus import CorpusRecipe
from include.recipes.loading import packaged_recipe
from include.settings import load_settings
from infrastructure.packaging.build import ROOT, build
from local_aws.testing import until
from tests.local_aws.conftest import LocalAws

JOBS = ("clean", "deduplicate", "tokenise")
SETTINGS = load_settings("dev")
pytestmark = pytest.mark.timeout(900)


def shard() -> bytes:
    """Sources of this repository as documents, and one of them twice."""
    texts = [path.read_text() for path in sorted((ROOT / "include").rglob("*.py"))]
    texts = [text for text in texts if len(text) > 800]
    return "".join(json.dumps({"text": text}) + "\n" for text in [*texts, texts[0]]).encode()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
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
        artifacts = build(ROOT, folder / "package")
        upload(client, folder / "package", storage.artifacts / artifacts.code_folder)
        pointer = storage.artifacts / "artifacts.json"
        client.upload_file(str(folder / "package/artifacts.json"), pointer.bucket, pointer.key)
        yield client
    server.end()


def upload(client: Any, package: Path, code: S3Uri) -> None:
    for path in [package / "spark_jobs.zip", *(package / "jobs").glob("*.py")]:
        place = code / path.relative_to(package).as_posix()
        client.upload_file(str(path), place.bucket, place.key)


def built_by(engine: Engine, s3: Any) -> dict[str, bytes]:
    """All files of the corpus that the manifest lists, and the manifest, built anew by ``engine``."""
    recipe = packaged_recipe(CorpusRecipe, "corpora", "standard")
    plan = plan_corpus(SETTINGS, SETTINGS.storage.raw, recipe, force=True, dry_run=False)
    place, code = CorpusPlace(S3Uri.parse(plan.root_uri)), S3Uri.parse(plan.code_uri)
    for prefix in (place.documents, place.tokens, place.work):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        for key in [item["Key"] for page in pages for item in page.get("Contents", ())]:
            s3.delete_object(Bucket=prefix.bucket, Key=key)
    cluster = ""
    if engine is Engine.EMR:
        from include.aws.clients import client

        cluster = client("emr").run_job_flow(**cluster_request(SETTINGS, "corpus", code))["JobFlowId"]
    for job in JOBS:
        jobs = jobs_of(engine.kind, cluster or engine.scope(SETTINGS, job))
        jobs.submit(f"{job}-{engine.value}-g1", engine.request(SETTINGS, job, code, place.request))
        view = until(
            lambda jobs=jobs, job=job: jobs.describe(f"{job}-{engine.value}-g1"),  # type: ignore[misc]
            lambda view: view.state.is_terminal,
            seconds=300,
        )
        assert view.state.value == "completed", view.reason
    manifest = s3.get_object(Bucket=place.root.bucket, Key=place.manifest.key)["Body"].read()
    return {"manifest": manifest} | {
        entry["path"]: s3.get_object(Bucket=place.root.bucket, Key=(place.root / entry["path"]).key)[
            "Body"
        ].read()
        for entry in json.loads(manifest)["files"]
    }


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
