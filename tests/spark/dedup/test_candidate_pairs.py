from __future__ import annotations

from typing import TYPE_CHECKING

from spark_jobs.dedup.candidate_pairs import star_edges

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_each_bucket_is_a_star_around_its_smallest_document(spark: SparkSession) -> None:
    rows = [(5, [1, 10]), (2, [1, 11]), (9, [1, 10]), (4, [2, 12]), (6, [3, 12])]
    edges = star_edges(spark.createDataFrame(rows, "doc long, bands array<long>"))
    assert sorted(tuple(row) for row in edges.collect()) == [(5, 2), (6, 4), (9, 2), (9, 5)]


def test_a_hot_bucket_has_as_many_edges_as_documents(spark: SparkSession) -> None:
    rows = [(doc, [0, 100 + doc]) for doc in range(3000)]
    assert star_edges(spark.createDataFrame(rows, "doc long, bands array<long>")).count() == 2999
