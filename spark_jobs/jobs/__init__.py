"""Entry points, one a job; each takes ``--request URI``."""
