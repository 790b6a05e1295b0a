"""spark-submit as on EMR: scripts, zips and data at s3:// addresses, one Spark for the whole test."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

SCRIPT = """
import sys
from pyspark.sql import SparkSession
from words.upper import shout

spark = SparkSession.builder.getOrCreate()
documents = spark.read.json("s3://emr/in/")
shouted = documents.rdd.map(lambda row: (shout(row.text),)).toDF(["text"])
shouted.coalesce(1).write.mode("overwrite").parquet("s3://emr-out/" + sys.argv[1])
print("wrote", spark.read.parquet("s3://emr-out/" + sys.argv[1]).count(), "with", spark.sparkContext.master)
"""


def test_a_spark_step_reads_and_writes_s3_with_its_py_files(
    emr: Any, s3: Any, cluster: Any, step: Any, states: Any
) -> None:
    s3.create_bucket(Bucket="emr-out")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("words/__init__.py", "")
        file.writestr("words/upper.py", "def shout(text):\n    return text.upper()\n")
    s3.put_object(Bucket="emr", Key="code/words.zip", Body=archive.getvalue())
    s3.put_object(Bucket="emr", Key="code/main.py", Body=SCRIPT.encode())
    s3.put_object(Bucket="emr", Key="in/a.json", Body=json.dumps({"text": "quiet"}).encode())
    submit = step(
        "shout", "spark-submit", "--master", "yarn", "--deploy-mode", "cluster", "--num-executors", "4",
        "--py-files", "s3://emr/code/words.zip", "s3://emr/code/main.py", "result",
    )  # fmt: skip
    name = cluster(submit)
    assert states(name) == {"shout": "COMPLETED"}, emr.list_steps(ClusterId=name)["Steps"]
    prefix = f"logs/{name}/steps/"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="emr", Prefix=prefix)["Contents"]]
    stdout = next(key for key in keys if key.endswith("stdout.gz"))
    words = gzip.decompress(s3.get_object(Bucket="emr", Key=stdout)["Body"].read()).decode()
    assert words.startswith("wrote 1 with local[")
    written = [item["Key"] for item in s3.list_objects_v2(Bucket="emr-out")["Contents"]]
    assert any(key.startswith("result/part-") for key in written) and not any(
        ".crc" in key for key in written
    )
