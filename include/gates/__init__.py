"""Pure decisions: a report, a baseline and thresholds in; a verdict with its reasons out."""
