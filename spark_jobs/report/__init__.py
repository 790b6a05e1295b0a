"""The report of a corpus version: one HTML page that says what came in, what was lost and what is left."""
