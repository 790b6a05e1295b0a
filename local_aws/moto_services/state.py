"""Saves the state of moto. Services with little state are pickled within a second after a change."""

from __future__ import annotations

import logging
import pickle
import time
from pathlib import Path

from local_aws.moto_services.handler import MotoHandler, moto_backend

log = logging.getLogger(__name__)
# logs are filled again from the jobs' files, KMS cannot be pickled, and the project does not use the rest
KEPT = ("cloudwatch", "ecr", "events", "glue", "iam", "secretsmanager", "sns", "sqs", "ssm")
_EVERY_SECONDS = 0.5


class MotoState:
    """An executor that loads the saved state in ``adopt`` and saves changes in ``tick`` and ``stop``."""

    def __init__(self, folder: Path, moto: MotoHandler) -> None:
        self._folder = folder
        self._moto = moto
        self._next = 0.0

    def adopt(self) -> None:
        """Load the state of an earlier process. A damaged file is skipped, and its traceback is logged."""
        with self._moto.lock:
            for service in KEPT:
                path = self._folder / f"{service}.pickle"
                if not path.exists():
                    continue  # moto imports a service on first use, which can take seconds
                try:
                    # this class wrote the file, in a folder of its own user
                    moto_backend(service).__dict__.update(pickle.loads(path.read_bytes()))
                except Exception:
                    log.exception("cannot load %s, so its service starts without state", path)

    def tick(self) -> None:
        """Save the services that changed since the last call."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            self._write()

    def stop(self) -> None:
        """Save the last changes."""
        self._write()

    def _write(self) -> None:
        for service in self._moto.take_changed() & set(KEPT):
            with self._moto.lock:
                content = pickle.dumps(moto_backend(service).__dict__)
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f"{service}.part"
            part.write_bytes(content)
            part.replace(self._folder / f"{service}.pickle")
