"""Read-only web pages of jobs, their logs and services, below ``/_local/ui/``."""
