"""What one local_aws process is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_aws.front_door.control import Control

REGION = "us-east-1"
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Settings:
    """Places and switches; ``port`` is the one that was bound, also when 0 was asked for.

    Buckets are the folders ``root/<bucket>``; what belongs to the S3 server beside them starts with a dot
    (``root/.s3``). Everything else may keep its state in ``root/.state``.
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
        """Where services other than S3 keep what must survive a restart (made on demand)."""
        path = self.root / ".state"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def bucket(self, name: str) -> Path:
        """The folder that holds a bucket's objects, one file a key."""
        return self.root / name
