"""Create what the DAGs expect in an account: buckets, registry group, cluster, load balancer, code.

On AWS an operator creates these (docs/guides/corpus.md, On AWS). Each step creates only what is missing, so
a second `make up` on the same state changes nothing but the code.
"""

from __future__ import annotations

import subprocess
import tomllib
from typing import Any

import boto3
import tomli_w
from botocore.exceptions import ClientError

from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.object_store.clients import client_config, endpoint_client
from include.planning.job_code import upload_code
from include.settings.loading import load_settings
from include.settings.model import ServingSettings, Settings
from local_stack.airflow import base_environment
from local_stack.config import StackConfig
from local_stack.processes import ProcessFailed


def write_settings(config: StackConfig) -> None:
    """Write the dev settings with this system's ports and training recipe, and return the file's path."""
    source = config.repository / "include" / "settings" / "dev.toml"
    plain: dict[str, Any] = tomllib.loads(source.read_text())
    plain["serving"]["listener_port"] = config.serving_port
    plain["serving"]["endpoint_url"] = config.serving_url
    plain["links"] = _links(config.aws_endpoint)
    if config.training_recipe:
        plain["training"]["recipe"] = config.training_recipe
    config.settings_file.write_text(tomli_w.dumps(plain))


def _links(endpoint: str) -> dict[str, Any]:
    """Return the addresses of local_aws's pages: the AWS console knows nothing of these jobs."""
    services = {
        "training": "sagemaker",
        "processing": "sagemaker",
        "emr_cluster": "emr",
        "emr_step": "emr",
        "emr_serverless": "emr-serverless",
        "glue": "glue",
    }
    pages = {kind: f"{endpoint}/_local/ui/jobs/{service}/{{id}}" for kind, service in services.items()}
    return {
        "job": pages,
        "log": {kind: f"{page}/log" for kind, page in pages.items()},
        "service": f"{endpoint}/_local/ui/services/{{cluster}}/{{service}}",
    }


def provision(config: StackConfig) -> None:
    """Create what is missing and upload the code of this checkout."""
    settings = load_settings(str(config.settings_file))
    _buckets(config, settings)
    _registry(config, settings)
    _serving(config, settings)
    package_and_upload(config, settings)


def client(config: StackConfig, service: str) -> Any:
    """Return a boto3 client for the local endpoint."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=config.aws_endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=client_config(),
    )


def object_store(config: StackConfig) -> ObjectStore:
    """Return the store of the local endpoint."""
    return ObjectStore(endpoint_client(config.aws_endpoint, "local", "local", "us-east-1"))


def package_and_upload(config: StackConfig, settings: Settings) -> None:
    """Build the code of the jobs (`make package`) and upload it to the prefix of the settings."""
    built = config.state / "package"
    command = [str(config.python("airflow")), "-m", "infrastructure.packaging.build", "--output", str(built)]
    environment = base_environment(config)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessFailed("packaging the jobs failed", where=str(built), got=done.stderr[-2000:])
    upload_code(object_store(config), built, settings.storage.artifacts)


def _buckets(config: StackConfig, settings: Settings) -> None:
    storage = settings.storage
    logs = {S3Uri.parse(uri).bucket for uri in (settings.emr.log_uri, settings.emr_serverless.log_uri)}
    names = {storage.raw_bucket, storage.processed_bucket, storage.models_bucket, *logs}
    object_store(config).create_buckets(names)


def _registry(config: StackConfig, settings: Settings) -> None:
    sagemaker = client(config, "sagemaker")
    group = settings.package_group
    try:
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    except ClientError:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=group,
            ModelPackageGroupDescription="Models that passed the gate or wait for it",
        )


def _serving(config: StackConfig, settings: Settings) -> None:
    serving = settings.serving
    client(config, "ecs").create_cluster(clusterName=serving.cluster)
    balancers = client(config, "elbv2")
    group = _target_group(balancers, serving)
    balancer = _load_balancer(balancers, serving)
    _listener(balancers, serving, balancer, group)


def _target_group(balancers: Any, serving: ServingSettings) -> str:
    for found in balancers.describe_target_groups()["TargetGroups"]:
        if found["TargetGroupName"] == serving.target_group:
            return str(found["TargetGroupArn"])
    created = balancers.create_target_group(
        Name=serving.target_group,
        Protocol="HTTP",
        Port=serving.container_port,
        VpcId="vpc-local",
        TargetType="ip",
        HealthCheckPath=serving.health_check_path,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )
    return str(created["TargetGroups"][0]["TargetGroupArn"])


def _load_balancer(balancers: Any, serving: ServingSettings) -> str:
    for found in balancers.describe_load_balancers()["LoadBalancers"]:
        if found["LoadBalancerName"] == serving.load_balancer:
            return str(found["LoadBalancerArn"])
    created = balancers.create_load_balancer(
        Name=serving.load_balancer, Subnets=list(serving.subnet_ids), Scheme="internal", Type="application"
    )
    return str(created["LoadBalancers"][0]["LoadBalancerArn"])


def _listener(balancers: Any, serving: ServingSettings, balancer: str, group: str) -> None:
    """Return the load balancer's listener. It is moved if NEXUS_SERVING_PORT has changed."""
    listeners = balancers.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    if not listeners:
        balancers.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=serving.listener_port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
    elif listeners[0]["Port"] != serving.listener_port:
        balancers.modify_listener(ListenerArn=listeners[0]["ListenerArn"], Port=serving.listener_port)
