"""The artifacts of `make package`, unpacked into each runtime's layout and imported from there alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from include.contracts.artifacts import CORPUS_SOURCES, ArtifactsManifest
from include.contracts.records import content_hash, parse_json
from infrastructure.packaging.build import ROOT, build, corpus_sources

#: Imports every module under the folders given, and says from where each came.
_IMPORT_ALL = """
import importlib, json, pkgutil, sys
from pathlib import Path
root, modules = Path(sys.argv[1]), []
for package in sys.argv[2:]:
    found = importlib.import_module(package)
    modules.append(found)
    if hasattr(found, "__path__"):
        for module in pkgutil.walk_packages(found.__path__, package + "."):
            if not module.name.endswith("__main__"):
                modules.append(importlib.import_module(module.name))
outside = [m.__name__ for m in modules if not Path(m.__file__ or m.__path__[0]).is_relative_to(root)]
print(json.dumps({"modules": len(modules), "outside": outside}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("package") / "built"
    build(ROOT, output)
    return output


def import_all(environment: str, layout: Path, packages: list[str], *paths: Path) -> dict[str, object]:
    """Import from ``paths`` alone: no other variable, no current folder, no user site."""
    python = ROOT / ".venvs" / environment / "bin" / "python"
    variables = {
        "PYTHONPATH": ":".join(map(str, paths)),
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": "/usr/bin:/bin",
        "HOME": str(layout),
        "AIRFLOW_HOME": str(layout / "airflow"),
        "OMP_NUM_THREADS": "1",
    }
    command = [str(python), "-c", _IMPORT_ALL, str(layout), *packages]
    done = subprocess.run(command, env=variables, cwd=layout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    assert answer["outside"] == []
    return answer


def test_mwaa_imports_plugins_and_dags_from_its_own_layout(package: Path, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    with zipfile.ZipFile(package / "plugins.zip") as archive:
        archive.extractall(plugins)
    import_all("airflow", tmp_path, ["nexus_airflow", "nexus_plugin", "include"], plugins)
    (tmp_path / "dags").symlink_to(package / "dags")
    for dag in sorted((package / "dags").glob("*.py")):
        done = subprocess.run(
            [str(ROOT / ".venvs/airflow/bin/python"), str(dag)],
            env={
                "PYTHONPATH": str(plugins),
                "PATH": "/usr/bin:/bin",
                "AIRFLOW_HOME": str(tmp_path / "airflow"),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]


def test_spark_imports_its_jobs_from_the_zip_itself(package: Path, tmp_path: Path) -> None:
    archive = tmp_path / "spark_jobs.zip"
    archive.write_bytes((package / "spark_jobs.zip").read_bytes())
    packages = ["spark_jobs", "include.contracts", "include.object_store", "include.recipes"]
    answer = import_all("spark", tmp_path, packages, archive)
    assert int(str(answer["modules"])) > 20


def test_packaged_recipes_are_read_out_of_the_zip(package: Path, tmp_path: Path) -> None:
    code = "from include.recipes.loading import recipe_names; print(recipe_names('corpora'))"
    done = subprocess.run(
        [str(ROOT / ".venvs/spark/bin/python"), "-c", code],
        env={"PYTHONPATH": str(package / "spark_jobs.zip"), "PYTHONSAFEPATH": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "standard" in done.stdout, done.stderr


def test_every_spark_step_has_its_entry_point(package: Path) -> None:
    names = {path.stem for path in (package / "jobs").glob("*.py")}
    assert {"clean", "deduplicate", "tokenise"} <= names


@pytest.mark.parametrize(
    ("environment", "archive", "packages"),
    [
        (
            "training",
            "training.tar.gz",
            ["include.contracts", "include.object_store", "include.recipes", "training"],
        ),
        ("export", "training.tar.gz", ["training.export.openvino"]),
        ("serving", "serving.tar.gz", ["include.contracts", "include.object_store", "serving"]),
    ],
)
def test_image_imports_its_archive_alone(
    package: Path, tmp_path: Path, environment: str, archive: str, packages: list[str]
) -> None:
    with tarfile.open(package / archive) as packed:
        packed.extractall(tmp_path, filter="data")
    import_all(environment, tmp_path, packages, tmp_path)


def test_the_same_sources_give_the_same_bytes_whenever_they_were_checked_out(tmp_path: Path) -> None:
    folders = ("dags", "plugins", "include", "spark_jobs", "training", "serving", "infrastructure")
    for folder in folders:
        shutil.copytree(ROOT / folder, tmp_path / "one" / folder)
    shutil.copy(ROOT / "requirements.txt", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for path in (tmp_path / "two").rglob("*.py"):
        os.utime(path, (1e9, 1e9))
    hashes = []
    for name in ("one", "two"):
        built = tmp_path / f"built-{name}"
        build(tmp_path / name, built)
        files = sorted(p for p in built.rglob("*") if p.is_file())
        hashes.append({p.relative_to(built).as_posix(): content_hash(p.read_bytes()) for p in files})
    assert hashes[0] == hashes[1]


def test_manifest_lists_every_file_with_its_hash(package: Path) -> None:
    manifest = parse_json(
        ArtifactsManifest, (package / "artifacts.json").read_bytes(), where="artifacts.json"
    )
    listed = {entry.path: entry.sha256 for entry in manifest.files}
    present = {
        path.relative_to(package).as_posix(): content_hash(path.read_bytes())
        for path in package.rglob("*")
        if path.is_file() and path.name != "artifacts.json"
    }
    assert listed == present


def test_only_what_decides_a_corpus_is_in_its_sources() -> None:
    names = corpus_sources(ROOT)
    assert "include/contracts/manifests.py" in names
    assert all(name.startswith(CORPUS_SOURCES) for name in names)


def test_nothing_secret_or_local_is_packaged(package: Path) -> None:
    with zipfile.ZipFile(package / "plugins.zip") as archive:
        tops = {name.split("/", maxsplit=1)[0] for name in archive.namelist()}
    assert tops == {".airflowignore", "include", "nexus_airflow", "nexus_plugin.py"}
