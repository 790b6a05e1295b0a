"""All code that knows Airflow."""
