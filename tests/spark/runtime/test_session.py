"""Options of the Spark session: what a submitted job keeps, and what a query of few rows does without."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_jobs.runtime.session import fit_queries, spark_session


class Builder:
    """A builder that records its options and builds nothing."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.levels: list[str] = []

    def appName(self, name: str) -> Builder:  # noqa: N802
        self.options["name"] = name
        return self

    def config(self, key: str, value: str) -> Builder:
        self.options[key] = value
        return self

    def getOrCreate(self) -> Any:  # noqa: N802
        return SimpleNamespace(sparkContext=SimpleNamespace(setLogLevel=self.levels.append))


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    monkeypatch.setattr(SparkSession, "builder", made)
    for name in ("PYSPARK_GATEWAY_PORT", "PYSPARK_PYTHON", "JAVA_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return made


def test_a_process_of_its_own_uses_this_machine(builder: Builder) -> None:
    spark_session("nexus-llm clean")
    assert builder.options["name"] == "nexus-llm clean"
    assert builder.options["spark.master"] == "local[*]"
    assert builder.options["spark.driver.host"] == "127.0.0.1"
    assert builder.options["spark.sql.session.timeZone"] == "UTC"
    assert builder.levels == ["ERROR"]
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
    assert os.path.isdir(os.environ["JAVA_HOME"])  # noqa: PTH112


def test_a_submitted_job_keeps_the_master_and_the_memory_of_its_engine(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    spark_session("x")
    assert {"spark.master", "spark.driver.memory"}.isdisjoint(builder.options)
    assert builder.options["spark.sql.session.timeZone"] == "UTC"
    assert builder.options["spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs"] == "false"
    assert "PYSPARK_PYTHON" not in os.environ
    assert "JAVA_HOME" not in os.environ


@pytest.mark.parametrize(
    ("rows", "partitions", "compiled"),
    [
        (0, "4", False),
        (999_999, "4", False),
        (1_000_000, "4", True),
        (2_000_000, "4", True),
        (2_000_001, "5", True),
        (50_000_000, "100", True),
    ],
)
def test_queries_of_many_rows_are_compiled_and_have_more_partitions(
    rows: int, partitions: str, compiled: bool
) -> None:
    options: dict[str, str] = {}
    conf = SimpleNamespace(set=options.__setitem__)
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=4), conf=conf)
    fit_queries(spark, rows)
    truth = "true" if compiled else "false"
    assert options == {
        "spark.sql.shuffle.partitions": partitions,
        "spark.sql.adaptive.enabled": truth,
        "spark.sql.codegen.wholeStage": truth,
        "spark.sql.codegen.factoryMode": "FALLBACK" if compiled else "NO_CODEGEN",
    }
