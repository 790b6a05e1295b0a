"""EMR Serverless: applications that start and stop, and job runs that execute spark-submit."""
