"""``python -m spark_jobs.bench_spark --input SHARDS --output FOLDER``: JSON to Parquet, nothing between.

What `make bench-dedup` compares with: the least that a Spark job over the same shards can take.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spark_jobs.session import spark_session


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the Parquet is written; the session is that of our own jobs."""
    parser = argparse.ArgumentParser(prog="bench_spark", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args(argv)
    spark = spark_session("nexus-llm bench_spark")
    spark.read.json(arguments.input).write.mode("overwrite").parquet(arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
