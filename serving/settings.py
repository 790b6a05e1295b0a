"""Settings of the server from environment variables, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from include.contracts.errors import SettingsError


@dataclass(frozen=True)
class ServerSettings:
    """Settings of one server process. Each field is an environment variable, named in ``VARIABLES``.

    ``max_concurrent_requests`` counts completions in generation: a request with three prompts and n=2
    counts six. ``lame_duck`` is the time after SIGTERM in which new requests are still served, until the
    load balancer notices that /readyz answers 503. ``drain_timeout`` is the time after it in which running
    generations may finish. ``model_directory`` keeps the downloaded model; without it a temporary folder is
    used and removed.
    """

    model_uri: str
    model_manifest_sha256: str
    host: str = "127.0.0.1"
    port: int = 8080
    served_model_name: str = "nexus-llm"
    max_concurrent_requests: int = 128
    max_batched_tokens: int = 1024
    kv_cache_gib: int = 1
    inference_threads: int = 0
    max_body_bytes: int = 4 * 2**20
    lame_duck: timedelta = timedelta(seconds=3)
    drain_timeout: timedelta = timedelta(seconds=20)
    model_directory: Path | None = None

    def __post_init__(self) -> None:
        if not self.model_uri or ("://" in self.model_uri and not re.match("s3://|file://", self.model_uri)):
            raise _impossible("model_uri", "s3://bucket/prefix/, file:///folder or a folder", self.model_uri)
        if not re.fullmatch("[0-9a-f]{64}", self.model_manifest_sha256):
            raise _impossible(
                "model_manifest_sha256", "64 lower-case hexadecimal digits", self.model_manifest_sha256
            )
        if not self.host:
            raise _impossible("host", "an address to listen on", self.host)
        if not self.served_model_name:
            raise _impossible("served_model_name", "a name", self.served_model_name)
        for name, least, most in (
            ("port", 0, 65535),
            ("max_concurrent_requests", 1, 4096),
            ("max_batched_tokens", 16, 2**20),
            ("kv_cache_gib", 1, 4096),
            ("inference_threads", 0, 1024),
            ("max_body_bytes", 1024, 2**30),
        ):
            if not least <= getattr(self, name) <= most:
                raise _impossible(name, f"{least} to {most}", str(getattr(self, name)))
        for name in ("lame_duck", "drain_timeout"):
            if not timedelta(0) <= getattr(self, name) <= timedelta(hours=1):
                raise _impossible(name, "0 to 3600 seconds", str(getattr(self, name)))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ServerSettings:
        """Read ``VARIABLES``. Raises SettingsError for a variable that is missing or impossible."""
        values: dict[str, Any] = {}
        for field, (variable, parse) in VARIABLES.items():
            text = environment.get(variable, "").strip()
            if not text:
                continue
            try:
                values[field] = parse(text)
            except (ValueError, OverflowError):
                raise _impossible(field, "a number", text) from None
        for field in ("model_uri", "model_manifest_sha256"):
            if field not in values:
                raise SettingsError(
                    "is missing",
                    where=VARIABLES[field][0],
                    remedy="set it in the task definition; the deployment manifest holds both values",
                )
        return cls(**values)


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "model_uri": ("MODEL_URI", str),
    "model_manifest_sha256": ("MODEL_MANIFEST_SHA256", str),
    "host": ("HOST", str),
    "port": ("PORT", int),
    "served_model_name": ("SERVED_MODEL_NAME", str),
    "max_concurrent_requests": ("MAX_CONCURRENT_REQUESTS", int),
    "max_batched_tokens": ("MAX_BATCHED_TOKENS", int),
    "kv_cache_gib": ("KV_CACHE_GIB", int),
    "inference_threads": ("INFERENCE_THREADS", int),
    "max_body_bytes": ("MAX_BODY_BYTES", int),
    "lame_duck": ("LAME_DUCK_SECONDS", _seconds),
    "drain_timeout": ("DRAIN_TIMEOUT_SECONDS", _seconds),
    "model_directory": ("MODEL_DIRECTORY", Path),
}


def _impossible(field: str, expected: str, got: str) -> SettingsError:
    return SettingsError("impossible value", where=VARIABLES[field][0], expected=expected, got=repr(got))
