"""A local_aws process as S3, for the tests of every environment."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Credentials and region of local_aws, and no settings of the machine's user.
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextlib.contextmanager
def local_s3(root: Path) -> Iterator[dict[str, str]]:
    """Run a server on a free port. Yield the environment that leads to it."""
    python = ROOT / ".venvs" / "local_aws" / "bin" / "python"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    server = subprocess.Popen(
        [python, "-m", "local_aws", "--root", root, "--port", "0"],
        env={**kept, **SETTINGS, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        ready = server.stdout.readline()
        assert ready.startswith("local_aws ready "), ready
        yield {**SETTINGS, "AWS_ENDPOINT_URL": ready.split()[-1]}
    finally:
        server.terminate()
        server.wait(timeout=30)
