"""The boto3 client of S3, and the retry policy of every AWS client of the project.

Endpoint, region and credentials come only from the environment, by botocore's chain.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.config import Config

_lock = threading.Lock()


@lru_cache(maxsize=1)
def client_config() -> Config:
    """Return the configuration of all AWS clients: retries, timeouts, connections.

    ``standard`` backs off exponentially, also for throttling errors. Eight retries take about 45 seconds, so
    that saving a checkpoint survives a throttled or restarting endpoint. The timeouts limit the wait for an
    endpoint that does not answer.
    """
    from botocore.config import Config

    return Config(
        retries={"mode": "standard", "total_max_attempts": 9},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
        user_agent_extra="nexus-llm",
    )


def s3_client() -> Any:
    """Return the S3 client of this process; the same one while endpoint, region and profile are the same."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE")
    # boto3 creates clients safely in one thread at a time only
    with _lock:
        return _client(os.getpid(), *(os.environ.get(name) for name in names))


def endpoint_client(endpoint: str, access_key: str, secret_key: str, region: str) -> Any:
    """Return a client of the given endpoint, independently of the environment."""
    import boto3

    session = boto3.Session(access_key, secret_key, region_name=region)
    return session.client("s3", endpoint_url=endpoint, config=client_config())


@lru_cache(maxsize=8)
def _client(process: int, *environment: str | None) -> Any:
    # the key contains the process, because a client's connections must not be shared across a fork
    import boto3

    return boto3.Session().client("s3", region_name=_region(), config=client_config())


def _region() -> str | None:
    """Return the region of the environment. boto3 ignores AWS_REGION, which AWS's services set."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
