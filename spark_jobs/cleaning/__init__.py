"""The clean job, which turns each raw record into a clean document with a signature."""
