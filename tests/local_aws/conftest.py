"""A real local_aws process on a free port, with restart and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.quick_spark import quick_spark as write_quick_spark
from tests.support.aws_models import RECORDER

REPOSITORY = Path(__file__).resolve().parents[2]


class LocalAws:
    """One server process on ``root``; after a restart it listens on the same port."""

    def __init__(self, root: Path, *options: str, wrapper: Sequence[str] = ()) -> None:
        self.root = root
        self.options = options
        self.wrapper = wrapper  # a command that execs the server, such as unshare or prlimit
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self.log = root.parent / f"{root.name}.log"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *self.wrapper,
                    *(sys.executable, "-m", "local_aws"),
                    *("--root", str(self.root), "--port", str(self.port)),
                    *self.options,
                ],
                cwd=REPOSITORY,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready.startswith("local_aws ready http://"), f"{ready!r}\n{self.log.read_text()}"
        self.port = int(ready.rsplit(":", 1)[1])

    @staticmethod
    def environment() -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send ``how`` and wait; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def kill(self) -> None:
        """kill -9: nothing gets a chance to tidy up."""
        self.end(signal.SIGKILL)

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.end(how)
        self.start()

    def client(self, service: str, **config: Any) -> Any:
        """Make a boto3 client of this endpoint. By default it does not retry: tests see each answer."""
        config = {"retries": {"total_max_attempts": 1}, **config}
        session = boto3.Session("local", "local", region_name="us-east-1")
        client = session.client(service, endpoint_url=self.endpoint, config=Config(**config))
        return RECORDER.watch(client)  # every answer is checked against botocore's model

    def control(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """POST to ``/_local/<name>`` (GET without arguments); raises urllib.error.HTTPError."""
        data = None if arguments is None else json.dumps(arguments).encode()
        with urllib.request.urlopen(f"{self.endpoint}/_local/{name}", data, timeout=30) as answer:
            document: dict[str, Any] = json.load(answer)
        return document


@pytest.fixture
def local_aws_server(tmp_path: Path) -> Iterator[LocalAws]:
    """A server of its own for one test."""
    server = LocalAws(tmp_path / "aws")
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def shared_local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One server for all tests that neither restart nor fault it."""
    server = LocalAws(tmp_path_factory.mktemp("shared") / "aws")
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def quick_spark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image map whose spark-submit starts at once: it runs the entry point as a shell script."""
    folder = tmp_path_factory.mktemp("quick")
    images = folder / "images.toml"
    images.write_text(f'[emr]\nvenv = "{write_quick_spark(folder)}"\n')
    return images


@pytest.fixture(scope="session")
def quick_local_aws(tmp_path_factory: pytest.TempPathFactory, quick_spark: Path) -> Iterator[LocalAws]:
    """One server with ``quick_spark`` for all tests that neither restart nor fault it."""
    server = LocalAws(tmp_path_factory.mktemp("quick-aws") / "aws", "--images", str(quick_spark))
    server.start()
    yield server
    server.end()
