"""Buttons on tasks: pages of the job, of its log and of the service."""
