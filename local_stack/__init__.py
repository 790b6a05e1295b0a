"""The local system: local_aws, Airflow's four processes, and what an AWS account would hold already."""
