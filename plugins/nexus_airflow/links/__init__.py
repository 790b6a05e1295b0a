"""Buttons on tasks, which open the pages of the job, its log and the service."""
