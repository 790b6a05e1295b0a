"""The record that a Spark job writes for its task when it ends with an error that the user can fix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobError:
    """The error of a job; ``kind`` names its class, which may be one of ``include.contracts.errors``."""

    kind: str
    message: str
