"""Maps container image URIs to local environments and commands, as ``images.toml`` says."""

from __future__ import annotations

import fnmatch
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from local_aws.errors import LocalAwsError
from local_aws.jobs.identities import Identity
from local_aws.settings import REGION, LocalAwsSettings

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_MAP = Path(__file__).with_name("images.toml")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "OMP_NUM_THREADS", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Image:
    """The local replacement of a container image: search paths, variables and a default command.

    ``match`` is a pattern of image URIs as in ``fnmatch``. All folders are absolute.
    """

    match: str
    path: tuple[str, ...]
    pythonpath: tuple[str, ...]
    environment: dict[str, str]
    command: tuple[str, ...]


@dataclass(frozen=True)
class SparkRuntime:
    """The Spark environment and resource limits of EMR steps."""

    venv: Path
    pythonpath: tuple[str, ...]
    master: str
    driver_memory: str


@dataclass(frozen=True)
class ImageMap:
    """The content of ``images.toml``, read once when local_aws starts."""

    images: tuple[Image, ...]
    emr: SparkRuntime

    @classmethod
    def read(cls, path: Path | None = None) -> ImageMap:
        """Read ``path``, by default ``images.toml`` in this folder. Raises LocalAwsError."""
        path = path or DEFAULT_MAP
        try:
            content = tomllib.loads(path.read_text())
            emr = content.get("emr", {})
            return cls(
                images=tuple(
                    Image(
                        match=entry["match"],
                        path=_absolute(entry.get("path", [])),
                        pythonpath=_absolute(entry.get("pythonpath", [])),
                        environment=dict(entry.get("environment", {})),
                        command=tuple(entry.get("command", [])),
                    )
                    for entry in content.get("images", {}).values()
                ),
                emr=SparkRuntime(
                    venv=REPOSITORY / emr.get("venv", ".venvs/spark"),
                    pythonpath=_absolute(emr.get("pythonpath", ["."])),
                    master=emr.get("master", "local[2]"),
                    driver_memory=emr.get("driver_memory", "3g"),
                ),
            )
        except (OSError, tomllib.TOMLDecodeError, KeyError, AttributeError, TypeError) as error:
            raise LocalAwsError(
                "the image map cannot be read",
                where=str(path),
                expected="[images.<name>] tables with `match` and `path`",
                got=f"{type(error).__name__}: {error}",
            ) from error

    def find(self, uri: str) -> Image | None:
        """Return the first entry whose pattern matches ``uri``, or None if no entry does."""
        return next((image for image in self.images if fnmatch.fnmatchcase(uri, image.match)), None)


def container_environment(
    image: Image, settings: LocalAwsSettings, identity: Identity, requested: dict[str, str]
) -> dict[str, str]:
    """Return a container's environment variables. Those in ``requested`` override all others."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= aws_environment(settings, identity)
    environment["PATH"] = ":".join([*image.path, _SYSTEM_PATH])
    environment["PYTHONPATH"] = ":".join(image.pythonpath)
    environment["PYTHONUNBUFFERED"] = "1"
    return environment | image.environment | requested


def aws_environment(settings: LocalAwsSettings, identity: Identity) -> dict[str, str]:
    """Return the variables that point the SDKs of a job at this endpoint, with the job's own credentials."""
    return {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": identity.access_key,
        "AWS_SECRET_ACCESS_KEY": identity.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _absolute(folders: list[str]) -> tuple[str, ...]:
    return tuple(str((REPOSITORY / folder).absolute()) for folder in folders)
