"""All services but S3 as one WSGI app, and the supervisor of what they run."""

from __future__ import annotations

from pathlib import Path

from local_aws.ecs.definitions import Definitions
from local_aws.ecs.rollout import Rollouts
from local_aws.ecs.services import Services
from local_aws.ecs.tasks import Tasks
from local_aws.elbv2.service import LoadBalancing
from local_aws.emr.clusters import EmrOperations
from local_aws.emr.runner import StepRunner
from local_aws.emr_serverless.runs import ServerlessRuns
from local_aws.glue.crawlers import Crawlers
from local_aws.glue.jobs import GlueJobs
from local_aws.images import ImageMap
from local_aws.jobs.supervisor import Supervisor
from local_aws.jobs.table import JobTable
from local_aws.jobs.transfer import Transfer
from local_aws.logs_metrics.alarms import Alarms
from local_aws.logs_metrics.telemetry import Telemetry
from local_aws.moto_app import MotoFallback
from local_aws.moto_state import MotoState
from local_aws.operations import Operations
from local_aws.sagemaker.containers import World
from local_aws.sagemaker.interruptions import Interruptions
from local_aws.sagemaker.processing import ProcessingJobs
from local_aws.sagemaker.registry import ModelRegistry
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
    transfer = Transfer(settings)
    world = World(settings, supervisor, telemetry, images, transfer)

    interruptions = Interruptions(table, settings)
    training = TrainingJobs(world, interruptions)
    processing = ProcessingJobs(world)
    for handlers in (training.handlers(), processing.handlers(), ModelRegistry(table).handlers()):
        app.add("sagemaker", handlers)
    settings.control.register("sagemaker/interrupt", interruptions.interrupt)
    settings.control.register("sagemaker/interrupt_policy", interruptions.set_policy)
    steps = StepRunner(settings, supervisor, images, transfer)
    app.add("emr", EmrOperations(table).handlers())
    serverless = ServerlessRuns(settings, supervisor, images, transfer)
    app.add("emr-serverless", serverless.handlers())
    balancing = LoadBalancing(supervisor, telemetry)
    app.add("elbv2", balancing.handlers())
    tasks = Tasks(settings, supervisor, images, telemetry, balancing.targets)
    definitions = Definitions(table)
    app.add("ecs", definitions.handlers())
    app.add("ecs", Services(table, definitions, tasks).handlers())
    settings.control.register("ecs/kill_task", tasks.kill_task)
    rollouts = Rollouts(table, tasks, balancing.targets)
    crawlers = Crawlers(settings, supervisor, fallback)
    app.add("glue", crawlers.handlers())
    glue = GlueJobs(settings, supervisor, images, telemetry)
    app.add("glue", glue.handlers())
    alarms = Alarms(fallback, settings.control.now)
    kept = MotoState(settings.state / "moto", fallback)
    supervisor.executors += [kept, crawlers, alarms, serverless.applications]
    supervisor.executors += [serverless.executor, glue.executor]
    # telemetry last: it fills the streams of ended jobs, after the others said which they follow themselves
    supervisor.executors += [training, processing, steps, balancing.plane, rollouts, telemetry]
    return app, supervisor
