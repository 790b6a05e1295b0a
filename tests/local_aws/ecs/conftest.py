"""A server that knows the test image, and a service behind a balancer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.local_aws.conftest import LocalAws
from tests.local_aws.elbv2.worlds import Balancer, EcsWorld, images
from tests.support.aws_models import Recorder

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One server for the tests of a module; those that restart it find it up again."""
    folder = tmp_path_factory.mktemp("ecs")
    started = LocalAws(folder / "aws", "--images", str(images(folder)))
    started.start()
    yield started
    started.end()


@pytest.fixture
def world(server: LocalAws) -> Iterator[EcsWorld]:
    """A cluster and a balancer of its own; answers are checked against botocore's models."""
    name = f"w{next(_NUMBERS)}"
    watch = Recorder().watch
    elbv2 = watch(server.client("elbv2", parameter_validation=False))
    made = EcsWorld(watch(server.client("ecs")), Balancer(elbv2, name), name)
    yield made
    for service in made.ecs.list_services(cluster=name)["serviceArns"]:
        made.ecs.delete_service(cluster=name, service=service, force=True)
    elbv2.delete_load_balancer(LoadBalancerArn=made.balancer.arn)
