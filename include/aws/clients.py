"""boto3 clients, one per service and process, with retries and short timeouts.

Endpoint, region and credentials come only from the environment (AWS_ENDPOINT_URL, AWS_REGION, …).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

from include.object_store.clients import client_config


def client(service: str) -> Any:
    """Return a client of ``service``, the same one for the same endpoint and region."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return _client(service, os.environ.get("AWS_ENDPOINT_URL"), region, os.getpid())


def unless(codes: str | Collection[str], call: Callable[..., Any], **request: Any) -> bool:
    """Call the API. Return False if the service answers one of these error codes, True otherwise."""
    try:
        call(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ((codes,) if isinstance(codes, str) else codes):
            raise
        return False
    return True


@lru_cache(maxsize=32)
def _client(service: str, endpoint: str | None, region: str | None, process: int) -> Any:
    # the key contains the process, because a client's connections must not be shared across a fork
    return boto3.client(service, endpoint_url=endpoint, region_name=region, config=client_config())
