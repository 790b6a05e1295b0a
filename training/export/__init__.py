"""The export job: a candidate in the serving engine's format."""
