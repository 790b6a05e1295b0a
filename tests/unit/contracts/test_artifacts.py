from __future__ import annotations

from dataclasses import replace

import pytest

from include.contracts.artifacts import ArtifactsManifest
from include.contracts.errors import ContractError
from include.contracts.manifests import FileEntry

MANIFEST = ArtifactsManifest(
    "git", "sources", {}, (FileEntry("jobs/clean.py", 1, "b" * 64), FileEntry("spark_jobs.zip", 9, "a" * 64))
)


def test_code_lies_in_a_folder_named_by_the_bytes_of_its_archive() -> None:
    assert MANIFEST.code_folder == "a" * 64 + "/"


def test_artifacts_without_the_archive_are_refused() -> None:
    with pytest.raises(ContractError, match=r"spark_jobs\.zip"):
        _ = replace(MANIFEST, files=MANIFEST.files[:1]).code_folder
