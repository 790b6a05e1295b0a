"""Runs spark-submit on this machine for EMR, EMR Serverless and Glue."""
