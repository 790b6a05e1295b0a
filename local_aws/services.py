"""Builds every service: its operations for the front door, and its executor for the supervisor."""

from __future__ import annotations

from dataclasses import dataclass

from local_aws.ecs.definitions import Definitions
from local_aws.ecs.rollout import Rollouts
from local_aws.ecs.services import Services
from local_aws.ecs.tasks import Tasks
from local_aws.elbv2.service import LoadBalancing
from local_aws.emr.clusters import EmrOperations
from local_aws.emr.runner import StepRunner
from local_aws.emr.security import SecurityConfigurations
from local_aws.emr_serverless.runs import ServerlessRuns
from local_aws.front_door.operations import Operations
from local_aws.glue.crawlers import Crawlers
from local_aws.glue.jobs import GlueJobs
from local_aws.images import ImageMap
from local_aws.jobs.identities import caller_identity
from local_aws.jobs.sessions import RoleSessions
from local_aws.jobs.supervisor import Supervisor
from local_aws.jobs.transfer import Transfer
from local_aws.logs_metrics.alarms import Alarms
from local_aws.logs_metrics.telemetry import Telemetry
from local_aws.moto_services.handler import MotoHandler
from local_aws.moto_services.state import MotoState
from local_aws.resources import ResourceTable
from local_aws.s3.app import S3App
from local_aws.sagemaker.containers import World
from local_aws.sagemaker.interruptions import Interruptions
from local_aws.sagemaker.processing import ProcessingJobs
from local_aws.sagemaker.registry import ModelRegistry
from local_aws.sagemaker.training import TrainingJobs
from local_aws.settings import LocalAwsSettings
from local_aws.ui.app import WebPages


@dataclass(frozen=True)
class Built:
    """The parts of a server: operations, web pages, executors (not started yet) and sessions of roles."""

    operations: Operations
    pages: WebPages
    supervisor: Supervisor
    sessions: RoleSessions


def build_services(settings: LocalAwsSettings) -> Built:
    """Build all services on the state below ``settings.root``."""
    moto = MotoHandler()
    operations = Operations(moto)
    operations.add_service("s3", S3App(settings).answer)
    table = ResourceTable(settings.state / "jobs.sqlite")
    supervisor = Supervisor(table, settings.root)
    telemetry = Telemetry(table, moto)
    images = ImageMap.read(settings.images)
    transfer = Transfer(settings)
    world = World(settings, supervisor, telemetry, images, transfer)

    interruptions = Interruptions(table, settings)
    training = TrainingJobs(world, interruptions)
    processing = ProcessingJobs(world)
    for handlers in (training.handlers(), processing.handlers(), ModelRegistry(table).handlers()):
        operations.add("sagemaker", handlers)
    settings.control.register("sagemaker/interrupt", interruptions.interrupt)
    settings.control.register("sagemaker/interrupt_policy", interruptions.set_policy)
    steps = StepRunner(settings, supervisor, images, transfer)
    operations.add("emr", EmrOperations(table).handlers())
    operations.add("emr", SecurityConfigurations(table).handlers())
    serverless = ServerlessRuns(settings, supervisor, images, transfer)
    operations.add("emr-serverless", serverless.handlers())
    balancing = LoadBalancing(supervisor, telemetry)
    operations.add("elbv2", balancing.handlers())
    tasks = Tasks(settings, supervisor, images, telemetry, balancing.targets)
    definitions = Definitions(table)
    operations.add("ecs", definitions.handlers())
    operations.add("ecs", Services(table, definitions, tasks).handlers())
    settings.control.register("ecs/kill_task", tasks.kill_task)
    rollouts = Rollouts(table, tasks, balancing.targets)
    crawlers = Crawlers(settings, supervisor, moto)
    operations.add("glue", crawlers.handlers())
    glue = GlueJobs(settings, supervisor, images, telemetry)
    operations.add("glue", glue.handlers())
    alarms = Alarms(moto, settings.control.now)
    kept = MotoState(settings.state / "moto", moto)
    supervisor.executors += [kept, crawlers, alarms, serverless.applications]
    supervisor.executors += [serverless.executor, glue.executor]
    # telemetry is last, because it fills only the log streams that no other executor follows
    supervisor.executors += [training, processing, steps, balancing.plane, rollouts, telemetry]
    operations.add_for_caller("sts", "GetCallerIdentity", caller_identity)
    sessions = RoleSessions(table, settings.control.now)
    operations.add_for_caller("sts", "AssumeRole", sessions.assume_role)
    return Built(operations, WebPages(table, settings, supervisor.identities), supervisor, sessions)
