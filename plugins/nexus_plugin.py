"""The one file that Airflow's plugin loader executes: links and listeners of this project."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from nexus_airflow.links.aws import EcsServiceLink, JobLink, JobLogsLink
from nexus_airflow.listeners import jobs


class NexusPlugin(AirflowPlugin):
    """Links for serialized operators, and the listener that stops the job of a task marked failed."""

    name = "nexus"
    operator_extra_links = [JobLink(), JobLogsLink(), EcsServiceLink()]
    listeners = [jobs]
