"""Benchmarks of the corpus pipeline. They run in the environment of the Spark jobs."""
