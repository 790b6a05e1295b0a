"""The DAGs' own tasks, as TaskFlow functions. DAG files only wire them.

The UI shows the docstring of each task. Positional arguments are plain values from other tasks, and
keyword-only arguments come from Airflow's context.
"""
