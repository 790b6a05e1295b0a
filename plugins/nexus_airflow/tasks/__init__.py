"""The DAGs' own tasks, as TaskFlow functions. DAG files only wire them.

A docstring is what the task shows in the UI. Arguments that come from other tasks are plain values; the
keyword-only ones come from Airflow's context.
"""
