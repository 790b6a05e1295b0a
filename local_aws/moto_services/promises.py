"""Refuses parameters of moto's operations that it would store without an effect."""

from __future__ import annotations

import json

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall, Protocol
from local_aws.front_door.identify import form_values

_KMS = "there is no KMS here"
#: Service -> parameter or attribute -> why it would have no effect.
_WITHOUT_EFFECT = {
    "logs": {"kmsKeyId": _KMS},
    "secretsmanager": {"KmsKeyId": _KMS, "AddReplicaRegions": "there is one region here"},
    "sns": {"KmsMasterKeyId": _KMS},
    "sqs": {"KmsMasterKeyId": _KMS},
    "ssm": {"KeyId": _KMS, "Policies": "parameters here do not expire"},
}


def refuse_without_effect(call: AwsCall) -> None:
    """Raise AwsError 501 if ``call`` asks for something that would not happen."""
    refused = _WITHOUT_EFFECT.get(call.service)
    for name in _named(call) if refused else ():
        if refused and name in refused:
            raise call.not_implemented(f"with {name} ({refused[name]})")
    if call.service == "iam":
        values = dict(form_values(call))
        _check_policy(values.get("AssumeRolePolicyDocument"))


def _named(call: AwsCall) -> set[str]:
    """Return the names of the parameters that are set, and those in their maps of attributes."""
    if call.protocol is Protocol.QUERY:
        values = form_values(call)
        return {name for name, _ in values} | {
            value for name, value in values if name.endswith((".key", "Name"))
        }
    try:
        content = json.loads(call.document or b"{}")
    except ValueError:
        return set()  # moto returns the error
    if not isinstance(content, dict):
        return set()
    attributes = content.get("Attributes")
    inner = attributes.items() if isinstance(attributes, dict) else ()
    return {name for name, value in (*content.items(), *inner) if value}


def _check_policy(document: str | None) -> None:
    """Raise AwsError MalformedPolicyDocument unless ``document`` is a JSON object, or missing."""
    try:
        valid = document is None or isinstance(json.loads(document), dict)
    except ValueError:
        valid = False
    if not valid:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json", 400)
