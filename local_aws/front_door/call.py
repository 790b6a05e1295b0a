"""The parsed form of an AWS request. Only ``identify`` creates it, and only it reads the raw headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol as Interface

from local_aws.errors import AwsError
from local_aws.http.messages import Request
from local_aws.settings import ACCOUNT

#: The limit for services other than S3. The largest documents are metrics in CBOR and pickled code.
_MAX_DOCUMENT_BYTES = 64 << 20


class Protocol(StrEnum):
    """The way in which a service writes parameters, answers and errors on the wire."""

    REST_XML = "rest-xml"
    REST_JSON = "rest-json"
    JSON = "json"
    QUERY = "query"
    CBOR = "cbor"


class Caller(Interface):
    """A job that calls AWS with its own credentials."""

    @property
    def access_key(self) -> str: ...

    @property
    def arn(self) -> str: ...

    @property
    def session(self) -> str: ...


@dataclass
class AwsCall:
    """One request with the service, operation and caller that it names.

    ``service`` is the name of the boto3 client (``emr``), ``operation`` the API's name (``RunJobFlow``) or
    '' if no operation of the service fits the request. ``labels`` are the parameters in the path; those of
    S3 are ``Bucket`` and ``Key``. ``region`` and ``access_key`` come from the signature. ``caller`` is the
    ``Identity`` of the job that sent it, None for everyone else.
    """

    http: Request
    service: str
    protocol: Protocol
    operation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    access_key: str = ""
    account: str = ACCOUNT
    caller: Caller | None = None

    @property
    def name(self) -> str:
        """The name for messages: ``service:operation``, or method and path for an unknown operation."""
        return f"{self.service}:{self.operation or f'{self.http.method} {self.http.raw_path}'}"

    @cached_property
    def document(self) -> bytes:
        """The entire body. Raises AwsError 413 above 64 MiB. S3 streams ``http.body`` instead."""
        body = b""
        while len(body) <= _MAX_DOCUMENT_BYTES and (more := self.http.body.read(_MAX_DOCUMENT_BYTES)):
            body += more
        if len(body) > _MAX_DOCUMENT_BYTES:
            raise AwsError("RequestEntityTooLargeException", "The request body is larger than 64 MiB.", 413)
        return body

    def not_implemented(self, reason: str = "") -> AwsError:
        """Build the error 501 with the name of this operation. SDKs do not retry it."""
        detail = f": {reason}" if reason else ""
        return AwsError("NotImplemented", f"local_aws does not implement {self.name}{detail}", 501)
