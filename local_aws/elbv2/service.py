"""The Elastic Load Balancing service, assembled from its parts."""

from __future__ import annotations

from local_aws.elbv2.balancers import LoadBalancers
from local_aws.elbv2.groups import TargetGroups
from local_aws.elbv2.metrics import Counters
from local_aws.elbv2.plane import DataPlane
from local_aws.elbv2.targets import Targets
from local_aws.front_door.operations import Handler
from local_aws.jobs.supervisor import Supervisor
from local_aws.logs_metrics.telemetry import Telemetry


class LoadBalancing:
    """The operations, the executor (``plane``), and the ``targets`` with which ECS registers its tasks."""

    def __init__(self, supervisor: Supervisor, telemetry: Telemetry) -> None:
        self.targets = Targets(supervisor.table)
        self.plane = DataPlane(supervisor, self.targets, Counters(telemetry))
        self._operations = (
            LoadBalancers(supervisor.table, self.plane),
            TargetGroups(supervisor.table, self.targets),
        )

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {name: handler for part in self._operations for name, handler in part.handlers().items()}
