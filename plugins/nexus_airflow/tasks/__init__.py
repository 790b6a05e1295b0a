"""Bodies of the DAGs' own tasks. DAG files only wire them."""
