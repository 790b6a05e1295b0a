"""AWS without Airflow: clients, request bodies as pure functions, and jobs as states."""
