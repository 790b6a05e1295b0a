"""Stages as functions: batch to batch, or DataFrame to DataFrame."""
