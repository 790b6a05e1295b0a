"""The report of a corpus version: one HTML page with the documents read, dropped and kept."""
