"""The Glue crawler: tables inferred from the parquet files that are there."""
