"""Plans of the DAGs: the inputs, code and recipe of a run, and the work that it must do."""
