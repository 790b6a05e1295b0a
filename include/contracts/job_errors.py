"""What a Spark job leaves for its task when it ends with an error that a user can mend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobError:
    """``kind`` is the class of the error, of ``include.contracts.errors`` where it is one of these."""

    kind: str
    message: str
