"""`make demo`: real text of this machine becomes a served model, through the real DAGs."""
