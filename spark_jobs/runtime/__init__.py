"""Parts that every job shares: entry point, Spark session, progress, Arrow columns and parquet tables."""
