"""A local_aws of its own for programs that other people wrote, and the AWS CLI in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.quick_spark import quick_spark

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venvs/local_aws/bin/python"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/test:1"


@dataclass(frozen=True)
class Endpoint:
    """The address of local_aws and the folder of its buckets."""

    url: str
    root: Path


@dataclass(frozen=True)
class Done:
    """The result of a command of the AWS CLI."""

    code: int
    out: str
    error: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("third-party")
    map_file, root = folder / "images.toml", folder / "aws"
    map_file.write_text(
        f'[images.test]\nmatch = "*/test:*"\npath = ["{PYTHON.parent}"]\n\n'
        f'[emr]\nvenv = "{quick_spark(folder)}"\n'
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [str(PYTHON), "-m", "local_aws", "--root", str(root), "--port", "0", "--images", str(map_file)],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout is not None
    ready = server.stdout.readline()
    assert ready.startswith("local_aws ready "), (folder / "log").read_text()
    yield Endpoint(ready.split()[-1], root)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    server.stdout.close()


@pytest.fixture
def aws(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """Run the AWS CLI: ``aws("s3", "ls")``. It must succeed unless ``fails`` is True."""
    from awscli.clidriver import create_clidriver

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_PAGER": "",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*words: str | Path, fails: bool = False) -> Done:
        capfd.readouterr()
        code = create_clidriver().main([str(word) for word in words])
        done = Done(code, *capfd.readouterr())
        assert (done.code != 0) is fails, f"aws {' '.join(map(str, words))}: {done}"
        return done

    return run
