"""Glue: jobs that run spark-submit, and crawlers that infer tables from parquet files."""
