"""Credentials of jobs. Each job has its own access key, which identifies the job in each request."""

from __future__ import annotations

import secrets
import string
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import ACCOUNT

KIND = "job-credentials"
#: Differs from the prefixes of real access keys (AKIA, ASIA), so that they are not confused.
KEY_PREFIX = "LOCALJOB"
_KEY_LENGTH = 20
_LETTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Identity:
    """The credentials of a job, with the kind and name of its row and the ARN of its role."""

    access_key: str
    secret_key: str
    kind: str
    name: str
    role: str

    @property
    def arn(self) -> str:
        """The ARN of the session in the format of STS."""
        role = self.role.rpartition("/")[2] or "job"
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{self.session}"

    @property
    def session(self) -> str:
        """The name of the session: the job's name without the parts of an ARN."""
        return self.name.rpartition("/")[2][:64]


class Identities:
    """The credentials of all jobs, kept in the resource table. Safe to use from any thread."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._by_key = {row.name: _identity(row) for row in table.list(KIND)}
        self._by_job = {(one.kind, one.name): one for one in self._by_key.values()}
        self._calls: dict[tuple[str, str], Counter[str]] = {}

    def issue(self, kind: str, name: str, role: str = "") -> Identity:
        """Return the credentials of a job, which are created on the first call."""
        with self._lock:
            if known := self._by_job.get((kind, name)):
                return known
            random = "".join(secrets.choice(_LETTERS) for _ in range(_KEY_LENGTH - len(KEY_PREFIX)))
            made = Identity(KEY_PREFIX + random, secrets.token_urlsafe(30), kind, name, role)
            content = {"secret_key": made.secret_key, "kind": kind, "name": name, "role": role}
            self._table.insert(Resource(KIND, made.access_key, "ACTIVE", content))
            self._by_key[made.access_key] = self._by_job[kind, name] = made
            return made

    def caller(self, call: AwsCall) -> Identity | None:
        """Return the job that made a call, and count the call. Return None if the caller is not a job.

        Raises AwsError for the access key of a job that does not exist here.
        """
        key = call.access_key
        if not key.startswith(KEY_PREFIX):
            return None
        with self._lock:
            found = self._by_key.get(key)
            if found is not None:
                counter = self._calls.setdefault((found.kind, found.name), Counter())
                counter[f"{call.service}:{call.operation}"] += 1
                return found
        code = "InvalidAccessKeyId" if call.service == "s3" else "InvalidClientTokenId"
        raise AwsError(code, f"The access key {key} belongs to no job of this endpoint.", 403)

    def calls(self, kind: str, name: str) -> dict[str, int]:
        """Return how often a job called each operation since local_aws started."""
        with self._lock:
            return dict(self._calls.get((kind, name), {}))

    def forget(self, kind: str, name: str) -> None:
        """Remove the credentials of a deleted job."""
        with self._lock:
            known = self._by_job.pop((kind, name), None)
            self._calls.pop((kind, name), None)
            if known is not None:
                del self._by_key[known.access_key]
                self._table.delete(KIND, known.access_key)


def caller_identity(call: AwsCall) -> dict[str, Any]:
    """Handle STS GetCallerIdentity. Return the session of a job, or the user of this endpoint."""
    if call.caller is None:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/local", "UserId": "local"}
    user = f"{call.caller.access_key}:{call.caller.session}"
    return {"Account": ACCOUNT, "Arn": call.caller.arn, "UserId": user}


def _identity(row: Resource) -> Identity:
    return Identity(row.name, **row.request)
