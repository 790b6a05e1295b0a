"""Sensors: conditions that a run waits for."""
