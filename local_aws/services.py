"""All services but S3 as one WSGI app, and the supervisor of what they run."""

from __future__ import annotations

from pathlib import Path

from local_aws.images import ImageMap
from local_aws.jobs.supervisor import Supervisor
from local_aws.jobs.table import JobTable
from local_aws.jobs.transfer import Transfer
from local_aws.logs_metrics.telemetry import Telemetry
from local_aws.moto_app import MotoFallback
from local_aws.operations import Operations
from local_aws.sagemaker.containers import World
from local_aws.sagemaker.interruptions import Interruptions
from local_aws.sagemaker.training import TrainingJobs
from local_aws.settings import Settings


def build_app(root: Path, settings: Settings) -> tuple[Operations, Supervisor]:
    """The app and its supervisor (not yet started). Jobs live in ``settings.state``."""
    fallback = MotoFallback()
    app = Operations(fallback)
    table = JobTable(settings.state / "jobs.sqlite")
    supervisor = Supervisor(table, root)
    telemetry = Telemetry(table, fallback)
    images = ImageMap.read(settings.images)
    world = World(settings, supervisor, telemetry, images, Transfer(settings))

    interruptions = Interruptions(table, settings)
    training = TrainingJobs(world, interruptions)
    app.add("sagemaker", training.handlers())
    settings.control.register("sagemaker/interrupt", interruptions.interrupt)
    settings.control.register("sagemaker/interrupt_policy", interruptions.set_policy)
    supervisor.executors += [training, telemetry]
    return app, supervisor
