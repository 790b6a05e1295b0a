"""Code that DAGs, plugins and jobs share. Nothing in here knows Airflow."""
