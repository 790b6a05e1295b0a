"""One training task, deferred or on a worker, whose job ends when the test says so."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from include.settings import load_settings
from nexus_airflow.defaults import default_args
from nexus_airflow.operators.spot_training import SageMakerSpotTrainingOperator

settings = load_settings()
ROOT = f"s3://{settings.storage.models_bucket}/runs/{{{{ dag.dag_id }}}}-{{{{ run_id }}}}/"
REQUEST = {
    "RoleArn": settings.role_arn(settings.roles.sagemaker),
    "AlgorithmSpecification": {
        "TrainingImage": settings.images.training,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "-m", "tests.end_to_end.lifecycle_job"],
        "ContainerArguments": ["--root", ROOT],
    },
    "OutputDataConfig": {"S3OutputPath": f"{ROOT}output/"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 600},
}


def _dag(dag_id: str, deferrable: bool, retry_delay: timedelta) -> None:
    @dag(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        params={"force": Param(False, type="boolean")},
        render_template_as_native_obj=True,
        default_args=default_args() | {"retries": 2, "retry_delay": retry_delay},
    )
    def lifecycle() -> None:
        SageMakerSpotTrainingOperator(
            task_id="train",
            job={
                "kind": "training",
                "request": REQUEST,
                "limit_seconds": 3600,
                "run_root": ROOT,
                "force": "{{ params.force }}",
            },
            deferrable=deferrable,
            poll_interval_seconds=0.5,
        )

    lifecycle()


_dag("deferred", True, timedelta(seconds=1))
_dag("on_worker", False, timedelta(seconds=1))
#: A lost worker leaves this one waiting for its retry while its job runs on: the state in between.
_dag("waiting_for_retry", False, timedelta(hours=1))
