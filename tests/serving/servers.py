"""Start real servers for the tests: a subprocess each, on a free port."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
MODEL = "nexus-llm"
DEADLINE_SECONDS = 60


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        def port() -> str | None:
            found = re.search(r"listening on \S+?:(\d+)\n", self.log.read_text())
            return found[1] if found else None

        wait_until(lambda: port() is not None or self.process.poll() is not None, what="a port")
        assert port(), self.log.read_text()
        return f"http://127.0.0.1:{port()}"

    def client(self) -> Any:
        """Return a client of OpenAI's library; untyped, because its overloads take no ``**request``."""
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=DEADLINE_SECONDS
        )

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return httpx.get(f"{self.url}/readyz").status_code == 200

    def metric(self, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", httpx.get(f"{self.url}/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)


@contextlib.contextmanager
def running_server(model: Path, log: Path, **environment: str) -> Iterator[Server]:
    manifest = (model / "manifest.json").read_bytes()
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MODEL_URI": str(model),
        "MODEL_MANIFEST_SHA256": hashlib.sha256(manifest).hexdigest(),
        "PORT": "0",
        "INFERENCE_THREADS": "1",
        "LAME_DUCK_SECONDS": "0",
        "DRAIN_TIMEOUT_SECONDS": "60",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"], env=variables, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        yield Server(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
