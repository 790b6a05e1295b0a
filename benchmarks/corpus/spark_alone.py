"""Read JSON shards with Spark and write them as Parquet, without any other work.

python -m benchmarks.corpus.spark_alone --input SHARDS --output FOLDER

`make bench-dedup` compares with this: the least time that a Spark job over the same shards can take.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spark_jobs.runtime.session import spark_session


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the Parquet is written. The session is configured as that of our own jobs."""
    parser = argparse.ArgumentParser(prog="benchmarks.corpus.spark_alone", description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args(argv)
    spark = spark_session("nexus-llm bench_spark")
    spark.read.json(arguments.input).write.mode("overwrite").parquet(arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
