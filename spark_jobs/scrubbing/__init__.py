"""Replacement of personal data and secrets by typed placeholders."""
