"""EMR Serverless: applications that start and stop, and job runs that really run spark-submit."""
