"""Plans of the DAGs: which inputs, code and recipe a run takes, and what it has to do."""
