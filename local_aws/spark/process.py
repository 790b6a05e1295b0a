"""The processes of Spark jobs: start one, wait for it, end it, and read its output and failure reason.

EMR steps, EMR Serverless job runs and Glue job runs share this. Their executors hold the differences.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from local_aws.images import Image, ImageMap, SparkRuntime, container_environment
from local_aws.jobs.processes import Exit, JobProcess, Spec
from local_aws.jobs.supervisor import Supervisor
from local_aws.settings import LocalAwsSettings
from local_aws.spark.command import spark_environment, spark_submit

GRACE_SECONDS = 10.0
# the services keep stdout and stderr in separate files; messages of the wrapper go to output.log
_SHELL = 'out=$1 err=$2; shift 2; exec "$@" >>"$out" 2>>"$err"'


class SparkProcesses:
    """The processes of the Spark jobs of one kind, each in its own folder below ``state/<kind>``."""

    def __init__(
        self, kind: str, settings: LocalAwsSettings, supervisor: Supervisor, images: ImageMap
    ) -> None:
        self._kind = kind
        self._settings = settings
        self._supervisor = supervisor
        self._spark: SparkRuntime = images.emr

    def folder(self, name: str) -> Path:
        """Return the folder with ``stdout``, ``stderr``, ``output.log`` and, during the run, ``scratch``."""
        return self._settings.state / self._kind / name

    def start(self, name: str, arguments: list[str], generation: int = 1, role: str = "") -> JobProcess:
        """Start ``arguments``, with credentials of ``role``.

        A command that begins with ``spark-submit`` is rewritten for this machine.
        """
        folder = self.folder(name)
        scratch = folder / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        scratch.mkdir(parents=True)
        image = Image("", (str(self._spark.venv / "bin"),), self._spark.pythonpath, {}, ())
        identity = self._supervisor.identities.issue(self._kind, name, role)
        environment = container_environment(image, self._settings, identity, {})
        argv = list(arguments)
        if arguments[0] == "spark-submit":
            argv = spark_submit(arguments[1:], self._spark, self._settings, scratch)
            environment |= spark_environment(self._spark)
            environment["SPARK_LOCAL_IP"] = "127.0.0.1"
        argv = ["/bin/sh", "-c", _SHELL, "sh", str(folder / "stdout"), str(folder / "stderr"), *argv]
        marker = self._supervisor.job_marker(self._kind, name, generation)
        return JobProcess.start(Spec(argv, environment, str(scratch), marker), folder)

    def wait(self, process: JobProcess, unwanted: Callable[[], str]) -> Exit | str:
        """Wait for the end of a process, or for a reason to end it.

        Return the exit, or the first reason that ``unwanted`` returns; the process then still runs. Raises
        Stopping if local_aws stops.
        """
        while True:
            if (end := process.exit()) is not None:
                return end
            if reason := unwanted():
                return reason
            self._supervisor.pause()

    def end(self, process: JobProcess, *, force: bool = False) -> None:
        """Send SIGTERM and, after a grace period, SIGKILL. With ``force``, send SIGKILL at once."""
        if not force:
            process.terminate()
            deadline = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < deadline and process.exit() is None:
                self._supervisor.pause()
        process.kill()

    def output(self, name: str, part: str) -> bytes:
        """Return the content of ``stdout``, ``stderr`` or ``output.log``, or nothing if it does not exist."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder(name) / part).read_bytes()
        return b""

    def reason(self, name: str, end: Exit) -> tuple[str, str]:
        """Return how the process ended, and the last lines of stderr, which contain the exception."""
        text = self.output(name, "stderr") or self.output(name, "output.log")
        lines = text[-8000:].decode("utf-8", "replace").splitlines()
        tail = [line for line in lines if " INFO " not in line][-12:]
        what = "vanished without an exit status" if end.code == -1 else f"exited with code {end.code}"
        return what, "\n".join(tail)[-1000:]

    def tidy(self, name: str) -> None:
        """Remove the scratch files of Spark and keep the output."""
        shutil.rmtree(self.folder(name) / "scratch", ignore_errors=True)
