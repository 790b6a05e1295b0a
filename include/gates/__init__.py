"""Pure functions that decide on a candidate: from a report and thresholds to a verdict with reasons."""
