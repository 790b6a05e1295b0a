"""Verifies the token shards in background threads during the first training steps.

A training corpus is too large to be hashed before the first step, at about one second per gigabyte. So one
rank of each host reads every shard once per job while training runs. No checkpoint gets its marker, and no
model is exported, before all shards of all hosts are verified.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np

from include.contracts.errors import IntegrityError
from include.contracts.manifests import FileEntry
from training.tokens import TokenFile, require_known_ids

_CHUNK_BYTES = 8 * 2**20  # a multiple of every token size
#: One thread per host for every eight cores, at most four, to leave the processor to the steps.
_CORES_PER_THREAD, _MOST_THREADS = 8, 4


@dataclass(frozen=True)
class ShardOnDisk:
    """A token file of this host, and its entry in the manifest."""

    tokens: TokenFile
    path: Path
    entry: FileEntry


class ShardVerification:
    """Hashes the shards of this host and checks their ids. Without shards, it has nothing to verify."""

    def __init__(self, shards: Sequence[ShardOnDisk], vocabulary_size: int) -> None:
        self._vocabulary_size = vocabulary_size
        self._queue: SimpleQueue[ShardOnDisk] = SimpleQueue()
        for shard in sorted(shards, key=lambda shard: -shard.entry.size_bytes):
            self._queue.put(shard)
        cores = len(os.sched_getaffinity(0))
        count = max(1, min(_MOST_THREADS, cores // _CORES_PER_THREAD)) if shards else 0
        self._threads = [
            threading.Thread(target=self._work, name=f"verify-shards-{number}", daemon=True)
            for number in range(count)
        ]
        self._fault: Exception | None = None
        self.bytes_verified = 0

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def failed(self) -> bool:
        """True if a shard has failed its verification."""
        return self._fault is not None

    def check(self) -> None:
        """Raise the error found so far: IntegrityError for a shard that differs from the manifest."""
        if self._fault is not None:
            raise self._fault

    def wait(self) -> None:
        """Wait until every shard is verified, then raise as `check` does."""
        for thread in self._threads:
            thread.join()
        self.check()

    def _work(self) -> None:
        while self._fault is None:
            try:
                shard = self._queue.get_nowait()
            except Empty:
                return
            try:
                verify_shard(shard, self._vocabulary_size)
                self.bytes_verified += shard.entry.size_bytes
            except Exception as error:
                self._fault = error


def verify_shard(shard: ShardOnDisk, vocabulary_size: int) -> None:
    """Raise IntegrityError unless the tokens have the manifest's hash and ids below ``vocabulary_size``."""
    digest, strange = hashlib.sha256(), -1
    itemsize = shard.tokens.tokens.dtype.itemsize
    with shard.path.open("rb") as stream:
        position = 0
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            ids = np.frombuffer(chunk[: len(chunk) // itemsize * itemsize], dtype=shard.tokens.tokens.dtype)
            if strange < 0 and len(ids) and (int(ids.max()) >= vocabulary_size or int(ids.min()) < 0):
                strange = position
            position += len(ids)
    if digest.hexdigest() != shard.entry.sha256:
        raise IntegrityError(
            "the token shard is damaged",
            where=str(shard.path),
            expected=f"SHA-256 {shard.entry.sha256}",
            got=digest.hexdigest(),
            remedy="restore the shard or build the corpus version again, then start the run again",
        )
    if strange >= 0:
        require_known_ids(shard.tokens, strange, shard.tokens.count, vocabulary_size)
