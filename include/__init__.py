"""Code that DAGs, plugins and jobs share. It does not import Airflow."""
