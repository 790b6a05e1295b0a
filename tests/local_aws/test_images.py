"""The map of container images: what an entry means, and what its containers inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_aws.errors import LocalAwsError
from local_aws.front_door.control import Control
from local_aws.images import REPOSITORY, ImageMap, container_environment
from local_aws.jobs.identities import Identity
from local_aws.settings import LocalAwsSettings

MAP = """
[images.first]
match = "*/training:*"
path = [".venvs/training/bin"]
pythonpath = [".", "plugins"]
environment = { OMP_NUM_THREADS = "2", PYTHONUNBUFFERED = "0" }
command = ["python", "-m", "training"]

[images.second]
match = "*"
"""


def read(tmp_path: Path, text: str) -> ImageMap:
    path = tmp_path / "images.toml"
    path.write_text(text)
    return ImageMap.read(path)


def test_the_first_pattern_that_matches_counts(tmp_path: Path) -> None:
    found = read(tmp_path, MAP)
    first, second = found.images
    assert found.find("123.dkr.ecr/training:latest") == first
    assert found.find("123.dkr.ecr/Training:latest") == second
    assert read(tmp_path, MAP.partition("[images.second]")[0]).find("other:1") is None


def test_folders_are_below_the_repository_and_what_is_left_out_is_empty(tmp_path: Path) -> None:
    first, second = read(tmp_path, MAP).images
    assert first.path == (str(REPOSITORY / ".venvs/training/bin"),)
    assert first.pythonpath == (str(REPOSITORY), str(REPOSITORY / "plugins"))
    assert first.command == ("python", "-m", "training")
    assert (second.path, second.pythonpath, second.environment, second.command) == ((), (), {}, ())


def test_the_spark_runtime_has_defaults_and_can_be_set(tmp_path: Path) -> None:
    usual = read(tmp_path, "").emr
    assert (usual.venv, usual.master, usual.driver_memory) == (
        REPOSITORY / ".venvs/spark", "local[2]", "3g",
    )  # fmt: skip
    assert usual.pythonpath == (str(REPOSITORY),)
    text = '[emr]\nvenv = "x"\nmaster = "local[1]"\ndriver_memory = "1g"\npythonpath = ["y"]\n'
    own = read(tmp_path, text).emr
    assert (own.venv, own.master, own.driver_memory) == (REPOSITORY / "x", "local[1]", "1g")
    assert own.pythonpath == (str(REPOSITORY / "y"),)


@pytest.mark.parametrize(
    "text", ["[images", '[images.a]\npath = ["x"]', "images = 1", '[images.a]\nmatch = "*"\npath = 1']
)
def test_a_map_that_cannot_be_read_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(LocalAwsError, match=r"images\.toml: the image map cannot be read"):
        read(tmp_path, text)
    with pytest.raises(LocalAwsError, match="cannot be read"):
        ImageMap.read(tmp_path / "absent.toml")


def test_a_container_gets_the_endpoint_its_own_key_and_what_its_request_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("SOME_SECRET", "x")
    monkeypatch.delenv("LC_ALL", raising=False)
    image = read(tmp_path, MAP).images[0]
    settings = LocalAwsSettings(tmp_path, 4999, Control())
    identity = Identity("NEXUSKEY", "secret", "training", "job-1", "role")
    found = container_environment(image, settings, identity, {"OMP_NUM_THREADS": "3"})
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4999"
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("NEXUSKEY", "secret")
    assert found["OMP_NUM_THREADS"] == "3"  # the request overrides the image
    assert found["PYTHONUNBUFFERED"] == "0"  # the image overrides the default
    assert found["PATH"].startswith(f"{REPOSITORY}/.venvs/training/bin:/usr/local/sbin:")
    assert found["PYTHONPATH"] == f"{REPOSITORY}:{REPOSITORY}/plugins"
    assert found["TZ"] == "UTC"
    assert {"SOME_SECRET", "LC_ALL"}.isdisjoint(found)
