"""The settings of one local_aws process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_aws.front_door.control import Control

REGION = "us-east-1"
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class LocalAwsSettings:
    """Folders, address and options. ``port`` is the port that is bound, also if 0 was requested.

    Buckets are the folders ``root/<bucket>``. The S3 server keeps its metadata in ``root/.s3``, and the other
    services keep their state in ``root/.state``.
    """

    root: Path
    port: int
    control: Control
    fsync: bool = False
    images: Path | None = None
    host: str = "127.0.0.1"

    @property
    def endpoint(self) -> str:
        """The URL that clients put in AWS_ENDPOINT_URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def state(self) -> Path:
        """The folder in which services other than S3 keep their state, created on first use."""
        path = self.root / ".state"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def bucket(self, name: str) -> Path:
        """Return the folder of a bucket. It holds one file for each object."""
        return self.root / name
