"""What MWAA and the jobs get."""
