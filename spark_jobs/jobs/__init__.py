"""The entry points of the jobs. Each takes ``--request URI``."""
