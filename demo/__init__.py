"""The program behind `make demo`: run the four DAGs on this machine's own text, up to a served model."""
