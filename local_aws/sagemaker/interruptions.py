"""Spot interruptions that the control API requests: at once, later, or after a checkpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.contracts.storage import S3Uri
from local_aws.errors import AwsError
from local_aws.resources import Resource, ResourceTable
from local_aws.s3.names import path_of
from local_aws.settings import LocalAwsSettings

KIND = "training-job"
POLICY = "interruption-policy"
DEFAULT_GRACE_SECONDS = 30.0
_MARKER = "complete.json"


@dataclass(frozen=True)
class Policy:
    """A policy that interrupts every spot job ``times`` times, each time after a new checkpoint."""

    times: int = 0
    after_first_checkpoint: bool = True
    grace_seconds: float = DEFAULT_GRACE_SECONDS


class Interruptions:
    """Decides when a running spot job loses its instance."""

    def __init__(self, table: ResourceTable, settings: LocalAwsSettings) -> None:
        self._table = table
        self._settings = settings
        self._lock = threading.Lock()
        self._asked: dict[str, tuple[float, float]] = {}

    def interrupt(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Handle the control call ``sagemaker/interrupt``: {"job", "after_seconds"?, "grace_seconds"?}."""
        name = str(request.get("job", ""))
        job = self._table.get(KIND, name)
        if job is None:
            raise AwsError("ResourceNotFound", f"no training job {name!r}", 404)
        if not job.request.get("EnableManagedSpotTraining"):
            raise AwsError("ValidationException", f"{name} is not a spot job; only those are interrupted")
        if job.state != "InProgress":
            raise AwsError("ValidationException", f"{name} is {job.state}", 409)
        due = time.time() + float(request.get("after_seconds", 0))
        with self._lock:
            self._asked[name] = (due, float(request.get("grace_seconds", DEFAULT_GRACE_SECONDS)))
        return {"job": name, "due": due}

    def set_policy(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Handle the control call ``sagemaker/interrupt_policy``.

        The request is {"times", "after_first_checkpoint"?, "grace_seconds"?}.
        """
        policy = {
            "times": int(request.get("times", 0)),
            "after_first_checkpoint": bool(request.get("after_first_checkpoint", True)),
            "grace_seconds": float(request.get("grace_seconds", DEFAULT_GRACE_SECONDS)),
        }
        if not self._table.insert(Resource(POLICY, "spot", "SET", policy)):
            with self._table.editing(POLICY, "spot") as row:
                row.request = policy
        return policy

    def due(self, job: Resource) -> float | None:
        """Return the grace period in seconds if ``job`` must be interrupted now, else None."""
        if not job.request.get("EnableManagedSpotTraining"):
            return None
        with self._lock:
            asked = self._asked.get(job.name)
            if asked and asked[0] <= time.time():
                del self._asked[job.name]
                return asked[1]
        row = self._table.get(POLICY, "spot")
        if row is None or job.detail.get("interruptions", 0) >= Policy(**row.request).times:
            return None
        policy = Policy(**row.request)
        if policy.after_first_checkpoint and self.checkpoints(job) <= job.detail.get("checkpoints_before", 0):
            return None
        return policy.grace_seconds

    def checkpoints(self, job: Resource) -> int:
        """Count the complete checkpoints below the prefix of the job."""
        environment = job.request.get("Environment", {})
        config = job.request.get("CheckpointConfig", {})
        uri = environment.get("NEXUS_CHECKPOINT_URI") or config.get("S3Uri")
        if not uri:
            return 0
        location = S3Uri.parse(uri)
        folder = Path(path_of(self._settings.bucket(location.bucket), location.key.removesuffix("/")))
        return sum(1 for _ in folder.rglob(_MARKER)) if folder.is_dir() else 0
