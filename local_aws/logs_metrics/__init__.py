"""CloudWatch Logs and metrics fed from jobs, and alarms that are evaluated."""
