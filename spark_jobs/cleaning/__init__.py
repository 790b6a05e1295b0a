"""The clean job: every document by itself, from the raw record to a signed document."""
