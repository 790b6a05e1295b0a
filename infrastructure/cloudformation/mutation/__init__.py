"""Breaks the templates on purpose, one property at a time, and records which rule notices it."""
