"""AWS clients, requests as pure functions, and states of jobs. It does not import Airflow."""
