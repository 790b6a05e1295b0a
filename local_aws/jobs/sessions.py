"""Sessions of STS AssumeRole: credentials that name the role in each request, until they expire."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.front_door.parameters import parameters_of, service_model
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import ACCOUNT

KIND = "sts-session"
KEY_PREFIX = "LOCALSTS"
_LETTERS = string.ascii_uppercase + string.digits
_ROLE = re.compile(r"arn:aws:iam::(\d{12}):role/(?:[\w+=,.@-]+/)*([\w+=,.@-]{1,64})", re.ASCII)
_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_SECONDS = 3600


@dataclass(frozen=True)
class RoleSession:
    """The caller of a request that was made with the credentials of a session."""

    access_key: str
    role: str
    session: str

    @property
    def arn(self) -> str:
        """The ARN of the session in the format of STS."""
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.role}/{self.session}"


class RoleSessions:
    """The sessions, kept in the resource table. Roles need not exist, and policies are not enforced."""

    def __init__(self, table: ResourceTable, now: Callable[[], float]) -> None:
        self._table = table
        self._now = now

    def assume_role(self, call: AwsCall) -> dict[str, Any]:
        """Handle AssumeRole. Raises AwsError for a role of another account or a malformed name."""
        request = parameters_of(call, service_model("sts").operation_model("AssumeRole"))
        role = _ROLE.fullmatch(request["RoleArn"])
        name, seconds = request["RoleSessionName"], int(request.get("DurationSeconds", _SECONDS))
        if role is None:
            raise AwsError("ValidationError", f"{request['RoleArn']} is invalid", 400)
        if not _SESSION.fullmatch(name):
            raise AwsError("ValidationError", f"RoleSessionName {name!r} is invalid", 400)
        if role[1] != ACCOUNT:
            raise AwsError(
                "AccessDenied", f"The caller may not perform sts:AssumeRole on {request['RoleArn']}", 403
            )
        key = KEY_PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(12))
        expires = self._now() + seconds
        content = {"role": role[2], "session": name, "expires": expires}
        self._table.insert(Resource(KIND, key, "ACTIVE", content))
        found = RoleSession(key, role[2], name)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": secrets.token_urlsafe(30),
                "SessionToken": secrets.token_urlsafe(60),
                "Expiration": expires,
            },
            "AssumedRoleUser": {"AssumedRoleId": f"{key}:{name}", "Arn": found.arn},
        }

    def caller(self, call: AwsCall) -> RoleSession | None:
        """Return the session that made a call, or None. Raises AwsError if it is unknown or has expired."""
        if not call.access_key.startswith(KEY_PREFIX):
            return None
        row = self._table.get(KIND, call.access_key)
        if row is None:
            code = "InvalidAccessKeyId" if call.service == "s3" else "InvalidClientTokenId"
            raise AwsError(code, f"The access key {call.access_key} belongs to no session here.", 403)
        if self._now() > float(row.request["expires"]):
            status = 400 if call.service == "s3" else 403
            raise AwsError("ExpiredToken", "The security token included in the request is expired", status)
        return RoleSession(row.name, row.request["role"], row.request["session"])
