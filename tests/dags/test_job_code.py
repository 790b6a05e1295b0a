"""The code of the Spark jobs on its way from a checkout into an account."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from include.contracts.artifacts import CODE_FILES
from include.contracts.errors import ContractError, InputError
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.object_store.locations import key_of
from include.planning.job_code import newest_code, upload_code
from infrastructure.packaging import upload
from infrastructure.packaging.build import ROOT, build

ARTIFACTS = S3Uri("nexus-llm-processed", "artifacts/")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("package") / "built"
    build(ROOT, output)
    return output


@pytest.fixture
def store(aws: Any) -> ObjectStore:
    aws.client("s3").create_bucket(Bucket=ARTIFACTS.bucket)
    store = ObjectStore()
    store.delete_folder(ARTIFACTS)
    return store


def keys(store: ObjectStore) -> set[str]:
    return {key_of(entry.uri) for entry in store.list(ARTIFACTS)}


def test_the_pointer_names_a_folder_that_has_every_file_of_the_jobs(
    store: ObjectStore, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upload.main(["--package", str(package)]) == 0
    folder = f"{ARTIFACTS.key}{newest_code(ARTIFACTS).code_folder}"
    assert folder in capsys.readouterr().out
    jobs = {path.name for path in (package / "jobs").glob("*.py")}
    assert {"clean.py", "deduplicate.py", "tokenise.py"} <= jobs
    expected = {f"{folder}{name}" for name in (*CODE_FILES, *(f"jobs/{job}" for job in jobs))}
    assert keys(store) == expected | {f"{ARTIFACTS.key}artifacts.json"}


def test_the_upload_says_whether_the_next_refresh_reads_everything(
    store: ObjectStore, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upload.main(["--package", str(package)]) == 0
    assert upload.main(["--package", str(package)]) == 0
    assert "decides a corpus is unchanged" in capsys.readouterr().out
    other = Path(shutil.copytree(package, tmp_path / "other"))
    manifest = json.loads((other / "artifacts.json").read_text())
    (other / "artifacts.json").write_text(json.dumps(manifest | {"sources_sha256": "0" * 64}))
    assert upload.main(["--package", str(other)]) == 0
    assert "reads all shards" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["changed", "gone"])
def test_a_package_that_is_not_whole_moves_no_pointer(
    store: ObjectStore, package: Path, tmp_path: Path, broken: str
) -> None:
    copy = Path(shutil.copytree(package, tmp_path / "copy"))
    script = copy / "jobs" / "clean.py"
    script.unlink() if broken == "gone" else script.write_text("x = 1\n")
    with pytest.raises(InputError, match=r"(?s)clean\.py.*make package"):
        upload_code(store, copy, ARTIFACTS)
    assert f"{ARTIFACTS.key}artifacts.json" not in keys(store)


def test_a_package_that_lacks_what_the_jobs_need_is_refused(
    store: ObjectStore, package: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(package, tmp_path / "copy"))
    manifest = json.loads((copy / "artifacts.json").read_text())
    manifest["files"] = [entry for entry in manifest["files"] if entry["path"] != CODE_FILES[1]]
    (copy / "artifacts.json").write_text(json.dumps(manifest))
    with pytest.raises(ContractError, match=CODE_FILES[1]):
        upload_code(store, copy, ARTIFACTS)
    assert not keys(store)


def test_before_make_package_the_error_says_so(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upload.main(["--package", str(tmp_path)]) == 1
    assert "make package" in capsys.readouterr().err


def test_a_plan_without_any_code_says_how_it_comes_there(store: ObjectStore) -> None:
    with pytest.raises(InputError, match="make upload-package"):
        newest_code(ARTIFACTS)
