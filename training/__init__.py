"""The code that runs in training, evaluation and export jobs."""
