"""All code that imports Airflow, except for the DAG files."""
