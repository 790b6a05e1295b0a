"""Run spark-submit on this machine for every service that runs Spark jobs."""
