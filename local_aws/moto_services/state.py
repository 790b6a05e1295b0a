"""Keeps what moto holds in memory: services with little state are pickled a second after a change."""

from __future__ import annotations

import logging
import pickle
import time
from pathlib import Path

from local_aws.moto_services.handler import MotoHandler, moto_backend

log = logging.getLogger(__name__)
# logs are filled again from the jobs' files; KMS does not pickle; the rest is not used by the project
KEPT = ("cloudwatch", "ecr", "events", "glue", "iam", "secretsmanager", "sns", "sqs", "ssm")
_EVERY_SECONDS = 0.5


class MotoState:
    """An executor: ``adopt`` reads, ``tick`` writes what changed, ``stop`` writes the rest."""

    def __init__(self, folder: Path, moto: MotoHandler) -> None:
        self._folder = folder
        self._moto = moto
        self._next = 0.0

    def adopt(self) -> None:
        """Put back what an earlier process kept; a damaged file is left out, loudly."""
        with self._moto.lock:
            for service in KEPT:
                path = self._folder / f"{service}.pickle"
                if not path.exists():
                    continue  # moto loads a service when it is first used; some take seconds
                try:
                    # our own file below our own root, written by this class
                    moto_backend(service).__dict__.update(pickle.loads(path.read_bytes()))
                except Exception:
                    log.exception("%s is left out", path)

    def tick(self) -> None:
        """Write what changed since the last time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            self._write()

    def stop(self) -> None:
        """Write the last changes."""
        self._write()

    def _write(self) -> None:
        for service in self._moto.take_changed() & set(KEPT):
            with self._moto.lock:
                content = pickle.dumps(moto_backend(service).__dict__)
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f"{service}.part"
            part.write_bytes(content)
            part.replace(self._folder / f"{service}.pickle")
