"""Build and upload the packages of MWAA and of the jobs."""
