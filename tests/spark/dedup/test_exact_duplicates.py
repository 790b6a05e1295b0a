from __future__ import annotations

from typing import TYPE_CHECKING

from spark_jobs.dedup.exact_duplicates import exact_duplicates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_smallest_document_of_equal_texts_stays(spark: SparkSession) -> None:
    rows = [
        (7, 0, 0, 1, 1),
        (3, 0, 0, 1, 1),
        (9, 1, 0, 1, 1),
        (4, 0, 0, 1, 2),
        (5, 0, 0, 2, 1),
        (8, 1, 2, 2, 1),
    ]
    columns = "doc long, part int, file int, text_low long, text_high long"
    found = exact_duplicates(spark.createDataFrame(rows, columns))
    assert sorted(tuple(row) for row in found.collect()) == [(7, 0, 0, 3), (8, 1, 2, 5), (9, 1, 0, 3)]
