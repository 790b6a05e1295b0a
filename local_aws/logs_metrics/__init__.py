"""CloudWatch Logs and metrics of jobs, and the evaluation of alarms."""
