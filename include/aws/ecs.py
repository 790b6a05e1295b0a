"""Requests of ECS: the task definition and the service of a model, with automatic rollback."""

from __future__ import annotations

from typing import Any

from include.contracts.manifests import ParentRef
from include.contracts.storage import S3Uri
from include.settings import Settings

CONTAINER = "serving"


def task_definition(settings: Settings, model: ParentRef) -> dict[str, Any]:
    """Build RegisterTaskDefinition: one container that serves only the model of this manifest."""
    serving = settings.serving
    model_uri = model.uri.rpartition("/")[0] + "/"
    environment = {
        "MODEL_URI": str(S3Uri.parse(model_uri)),
        "MODEL_MANIFEST_SHA256": model.sha256,
        "PORT": str(serving.container_port),
        "AWS_REGION": settings.region,
    }
    return {
        "family": serving.service,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": str(serving.cpu_units),
        "memory": str(serving.memory_mib),
        "executionRoleArn": settings.role_arn(settings.roles.ecs_execution),
        "taskRoleArn": settings.role_arn(settings.roles.ecs_task),
        "containerDefinitions": [
            {
                "name": CONTAINER,
                "image": settings.images.serving,
                "essential": True,
                "command": ["python", "-m", "serving"],
                "environment": [{"name": name, "value": value} for name, value in environment.items()],
                "portMappings": [{"containerPort": serving.container_port, "protocol": "tcp"}],
                "stopTimeout": 60,
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": serving.log_group,
                        "awslogs-region": settings.region,
                        "awslogs-stream-prefix": CONTAINER,
                    },
                },
            }
        ],
        "tags": [{"key": key, "value": value} for key, value in settings.tags.items()],
    }


def deployment_configuration() -> dict[str, Any]:
    """Build the deployment configuration: rolling, at full capacity, with rollback on failure."""
    return {
        "strategy": "ROLLING",
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }


def create_service(settings: Settings, task_definition_arn: str, target_group_arn: str) -> dict[str, Any]:
    """Build CreateService, for the first rollout."""
    serving = settings.serving
    return {
        "cluster": serving.cluster,
        "serviceName": serving.service,
        "taskDefinition": task_definition_arn,
        "desiredCount": serving.desired_count,
        "launchType": "FARGATE",
        "loadBalancers": [
            {
                "targetGroupArn": target_group_arn,
                "containerName": CONTAINER,
                "containerPort": serving.container_port,
            }
        ],
        "healthCheckGracePeriodSeconds": serving.health_check_grace_seconds,
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": list(serving.subnet_ids),
                "securityGroups": list(serving.security_group_ids),
                "assignPublicIp": "DISABLED",
            }
        },
        "deploymentConfiguration": deployment_configuration(),
        "tags": [{"key": key, "value": value} for key, value in settings.tags.items()],
    }


def update_service(settings: Settings, task_definition_arn: str) -> dict[str, Any]:
    """Build UpdateService, for every later rollout. The desired count is not changed."""
    serving = settings.serving
    return {
        "cluster": serving.cluster,
        "service": serving.service,
        "taskDefinition": task_definition_arn,
        "deploymentConfiguration": deployment_configuration(),
        # the same model again is still a rollout: the caller asked for one and waits for its deployment
        "forceNewDeployment": True,
    }
