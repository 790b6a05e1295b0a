"""S3 app (placeholder for the first commit of the core)."""

from __future__ import annotations

from local_aws.errors import AwsError, render
from local_aws.messages import Request, Response
from local_aws.s3.operations import operation_of
from local_aws.settings import Settings


class S3App:
    """Answers S3 requests."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        name = operation_of(request)
        return render(
            AwsError("NotImplemented", f"local_aws does not implement s3.{name}", 501), "rest-xml", "0"
        )
