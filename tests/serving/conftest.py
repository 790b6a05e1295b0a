"""The small random model, built once, and servers on it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.servers import ROOT, Server, running_server
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder with ``plain``, ``chat`` and ``endless``; built once for the same builder and exporter."""
    builder = ROOT / "tests" / "serving" / "make_model.py"
    sources = (
        builder,
        ROOT / "training" / "export" / "openvino.py",
        ROOT / "training/export/requirements.lock",
    )
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folder = ROOT / "build" / "test_models" / version
    if not folder.is_dir():
        partial = folder.with_name(f"{version}.{os.getpid()}")
        python = ROOT / ".venvs" / "export" / "bin" / "python"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, builder, partial, "tiny"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            partial.rename(folder)
        except OSError:  # another session was faster
            shutil.rmtree(partial)
    return folder


@pytest.fixture(scope="session")
def model(models: Path) -> Path:
    return models / "plain"


@pytest.fixture(scope="session")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    with running_server(model, tmp_path_factory.mktemp("server") / "log") as one:
        wait_until(one.ready, what="readyz")
        yield one


@pytest.fixture(scope="session")
def client(server: Server) -> Any:
    return server.client()


@pytest.fixture
def start(model: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of one's own, with environment variables as keywords."""
    with contextlib.ExitStack() as stack:

        def begin(folder: Path = model, **environment: str) -> Server:
            log = tmp_path / f"server-{len(list(tmp_path.glob('server-*')))}.log"
            return stack.enter_context(running_server(folder, log, **environment))

        yield begin
