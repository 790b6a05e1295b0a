"""The builds of the delivery pipeline: image script and build specifications."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "infrastructure" / "delivery" / "images.sh"


@pytest.mark.parametrize(
    ("names", "environment", "message"),
    [
        ((), "dev", "name the images: training, export, serving"),
        (("training", "airflow"), "dev", "there is no image 'airflow', only training, export, serving"),
        (("training",), "", "set ENVIRONMENT to the name of the environment"),
    ],
)
def test_an_impossible_call_is_refused_before_anything_is_built(
    names: tuple[str, ...], environment: str, message: str
) -> None:
    variables = os.environ | {"ENVIRONMENT": environment}
    done = subprocess.run(
        [SCRIPT, *names], env=variables, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, f"images: {message}\n")


def test_every_project_of_the_pipeline_has_its_build_specification() -> None:
    template = (ROOT / "infrastructure" / "stacks" / "delivery.yaml").read_text()
    named = set(re.findall(r"BuildSpec: (\S+)", template))
    present = (ROOT / "infrastructure" / "delivery" / "buildspecs").glob("*.yaml")
    assert named == {path.relative_to(ROOT).as_posix() for path in present}


def test_every_script_that_a_build_calls_is_there_and_can_be_run() -> None:
    specifications = (ROOT / "infrastructure" / "delivery" / "buildspecs").glob("*.yaml")
    called = {name for path in specifications for name in re.findall(r"- (\S+\.sh)\b", path.read_text())}
    assert called == {"infrastructure/delivery/images.sh"}
    assert all(os.access(ROOT / name, os.X_OK) for name in called)
