"""Read JSON shards with Spark and write Parquet, with nothing between.

python -m benchmarks.corpus.spark_alone --input SHARDS --output FOLDER


What `make bench-dedup` compares with: the least that a Spark job over the same shards can take.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spark_jobs.runtime.session import spark_session


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the Parquet is written; the session is that of our own jobs."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.spark_alone", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args(argv)
    spark = spark_session("nexus-llm bench_spark")
    spark.read.json(arguments.input).write.mode("overwrite").parquet(arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
