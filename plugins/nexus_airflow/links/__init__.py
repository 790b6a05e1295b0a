"""Buttons on tasks: where the job, its log and the service are in the AWS console."""
