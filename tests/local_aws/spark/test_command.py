"""Options for a cluster give way to those of this machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.images import SparkRuntime
from local_aws.spark.command import spark_submit

EMR = SparkRuntime(Path("/venv"), (), "local[2]", "3g")


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    (tmp_path / "bucket").mkdir()
    return SimpleNamespace(root=tmp_path, bucket=lambda name: tmp_path / name)


@pytest.mark.parametrize("given", [["--master", "yarn"], ["--master=yarn"], ["--deploy-mode", "cluster"], []])
def test_cluster_options_give_way_to_local_ones(given: list[str], settings: Any, tmp_path: Path) -> None:
    arguments = [*given, "--conf", "a=b", "--driver-memory", "20g", "s3://x/main.py", "--master", "mine"]
    command = spark_submit(arguments, EMR, settings, tmp_path)
    assert command[:5] == ["/venv/bin/spark-submit", "--master", "local[2]", "--driver-memory", "3g"]
    # what follows the script is the script's own
    assert command[-3:] == ["s3://x/main.py", "--master", "mine"]
    assert command[5:7] == ["--conf", "a=b"]
    assert f"spark.hadoop.fs.viewfs.mounttable.bucket.linkFallback=file://{tmp_path}/bucket" in command


@pytest.mark.parametrize(
    "given",
    [
        ["--archives", "s3://code/pyspark_env.tar.gz#environment"],
        ["--conf", "spark.archives=s3://code/pyspark_env.tar.gz#environment"],
        ["--conf", "spark.pyspark.python=./environment/bin/python"],
        ["--conf", "spark.pyspark.driver.python=/opt/nexus/environment/bin/python"],
        ["--conf", "spark.emr-serverless.driverEnv.PYSPARK_PYTHON=./environment/bin/python"],
        ["--conf", "spark.executorEnv.PYSPARK_PYTHON=./environment/bin/python"],
        ["--conf", "spark.dynamicAllocation.maxExecutors=100"],
        ["--conf=spark.dynamicAllocation.maxExecutors=100"],
    ],
)
def test_an_environment_packed_for_a_cluster_gives_way_to_the_one_here(
    given: list[str], settings: Any, tmp_path: Path
) -> None:
    kept = ["--conf", "spark.sql.shuffle.partitions=8", "s3://x/main.py"]
    command = spark_submit([*given, *kept], EMR, settings, tmp_path)
    assert given[-1] not in command
    assert command[5:7] == kept[:2] and command[-1] == kept[-1]


@pytest.mark.parametrize("form", [["--conf", "{}"], ["--conf={}"]])
def test_no_submission_makes_spark_listen_beyond_this_machine(
    form: list[str], settings: Any, tmp_path: Path
) -> None:
    given = [word.format("spark.driver.bindAddress=0.0.0.0") for word in form]
    command = spark_submit([*given, "s3://x/main.py"], EMR, settings, tmp_path)
    bound = [word for word in command if "spark.driver.bindAddress" in word]
    assert bound[-1] == "spark.driver.bindAddress=127.0.0.1"


@pytest.mark.parametrize(
    "given",
    [
        ["-c", "spark.driver.bindAddress=0.0.0.0", "s3://x/main.py"],
        ["-v", "--conf=spark.driver.bindAddress=0.0.0.0", "s3://x/main.py"],
        ["--usage-error", "--conf", "spark.driver.bindAddress=0.0.0.0", "s3://x/main.py"],
        ["--conf"],
    ],
)
def test_no_spelling_of_an_option_comes_after_those_of_this_machine(
    given: list[str], settings: Any, tmp_path: Path
) -> None:
    command = spark_submit(given, EMR, settings, tmp_path)
    ours = command.index("spark.driver.bindAddress=127.0.0.1")
    assert command[ours - 1] == "--conf"
    assert command[ours + 1 :] == [word for word in given if word == "s3://x/main.py"]
    assert command[5] != "--conf" or command[6] != "--conf"
