"""The operations on EMR's security configurations. A cluster can name only one that exists.

The configurations are stored but not applied: a cluster uses the disks and connections of this machine.
"""

from __future__ import annotations

import json
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.pagination import offset_of
from local_aws.resources import Resource, ResourceTable

KIND = "emr-security-configuration"
_PAGE = 50


class SecurityConfigurations:
    """The operations that create, describe, list and delete security configurations."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateSecurityConfiguration": self.create,
            "DescribeSecurityConfiguration": self.describe,
            "ListSecurityConfigurations": self.list,
            "DeleteSecurityConfiguration": self.delete,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            content = json.loads(request["SecurityConfiguration"])
        except ValueError as error:
            raise _invalid(f"The security configuration is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise _invalid("The security configuration must be a JSON object.")
        if not request["Name"].strip():
            raise _invalid("The name of a security configuration must not be empty.")
        row = Resource(KIND, request["Name"], "ACTIVE", request)
        if not self._table.insert(row):
            raise _invalid(f"Security configuration with name '{row.name}' already exists.")
        return _summary(row)

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        row = self._row(request["Name"])
        return {**_summary(row), "SecurityConfiguration": row.request["SecurityConfiguration"]}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        rows, offset = self._table.list(KIND), offset_of(request.get("Marker"))
        shown = rows[offset : offset + _PAGE]
        answer: dict[str, Any] = {"SecurityConfigurations": [_summary(row) for row in shown]}
        return answer | ({"Marker": str(offset + _PAGE)} if offset + _PAGE < len(rows) else {})

    def delete(self, request: dict[str, Any]) -> None:
        self._table.delete(KIND, self._row(request["Name"]).name)

    def _row(self, name: str) -> Resource:
        row = self._table.get(KIND, name)
        if row is None:
            raise _invalid(f"Security configuration with name '{name}' does not exist.")
        return row


def check_security_configuration(table: ResourceTable, request: dict[str, Any]) -> None:
    """Raise AwsError if RunJobFlow names a security configuration that does not exist."""
    name = request.get("SecurityConfiguration")
    if name and table.get(KIND, name) is None:
        raise AwsError("ValidationException", f"Security configuration with name '{name}' does not exist.")


def _summary(row: Resource) -> dict[str, Any]:
    return {"Name": row.name, "CreationDateTime": row.created}


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message)
