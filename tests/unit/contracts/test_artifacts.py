from __future__ import annotations

from dataclasses import replace

import pytest

from include.contracts.artifacts import CODE_FILES, ArtifactsManifest
from include.contracts.errors import ContractError
from include.contracts.manifests import FileEntry

MANIFEST = ArtifactsManifest(
    "git",
    "sources",
    {},
    (
        FileEntry("dags/corpus_refresh.py", 1, "c" * 64),
        FileEntry("jobs/clean.py", 1, "b" * 64),
        *(FileEntry(name, 9, "a" * 64) for name in CODE_FILES),
    ),
)


@pytest.mark.parametrize("changed", [0, 1, 2, 3, 4])
def test_code_lies_in_a_folder_named_by_all_of_its_bytes(changed: int) -> None:
    files = list(MANIFEST.files)
    files[changed] = replace(files[changed], sha256="d" * 64)
    other = replace(MANIFEST, files=tuple(files))
    is_code = files[changed].path != "dags/corpus_refresh.py"
    assert (other.code_folder != MANIFEST.code_folder) is is_code


@pytest.mark.parametrize("name", CODE_FILES)
def test_artifacts_without_what_the_jobs_need_are_refused(name: str) -> None:
    with pytest.raises(ContractError, match=name):
        _ = replace(MANIFEST, files=tuple(e for e in MANIFEST.files if e.path != name)).code_folder
