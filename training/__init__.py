"""The code of training, evaluation and export jobs."""
