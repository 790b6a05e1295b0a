"""The names of services. Every part of local_aws uses the name that ``boto3.client()`` takes.

A signature carries another name for some services (``elasticmapreduce`` for ``emr``). It is translated here,
once, when a request comes in.
"""

from __future__ import annotations

#: The name in the signature -> the name of the boto3 client, where the two differ.
_CLIENT_NAMES = {
    "elasticloadbalancing": "elbv2",
    "elasticmapreduce": "emr",
    "email": "ses",
    "execute-api": "apigatewaymanagementapi",
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
}
_SIGNING_NAMES = {client: signing for signing, client in _CLIENT_NAMES.items()}


def client_name(signing_name: str) -> str:
    """Translate the service name of a signature to the name of its boto3 client."""
    return _CLIENT_NAMES.get(signing_name, signing_name)


def signing_name(service: str) -> str:
    """Translate the name of a boto3 client to the service name in signatures."""
    return _SIGNING_NAMES.get(service, service)
