"""Refuses to start if the environment holds credentials that may be valid for a real account."""

from __future__ import annotations

from collections.abc import Mapping

from local_aws.errors import LocalAwsError

_NAMED = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def refuse_real_credentials(environment: Mapping[str, str]) -> None:
    """Raise LocalAwsError if ``environment`` holds an AWS access key, profile or session.

    Jobs inherit the environment, and a call without the endpoint setting must not reach an account.
    """
    found = [name for name in _NAMED if environment.get(name)]
    key = environment.get("AWS_ACCESS_KEY_ID", "")
    if key.upper().startswith(("AKIA", "ASIA", "AROA", "AIDA")):
        found.append("AWS_ACCESS_KEY_ID")
    if found:
        raise LocalAwsError(
            "the environment holds credentials that may be real",
            where=", ".join(sorted(found)),
            expected="AWS_ACCESS_KEY_ID=local and AWS_SECRET_ACCESS_KEY=local, or none",
            remedy=f"unset {' '.join(sorted(found))} and start again",
        )
