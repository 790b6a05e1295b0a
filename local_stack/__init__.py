"""The local system: local_aws, Airflow's four processes, and the resources that the DAGs expect on AWS."""
