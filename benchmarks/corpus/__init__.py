"""Benchmarks of the corpus pipeline; they run in the environment of the Spark jobs."""
