from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts.artifacts import CODE_FILES, CORPUS_SOURCES, ArtifactsManifest, is_corpus_source
from include.contracts.errors import ContractError
from include.contracts.manifests import FileEntry

ROOT = Path(__file__).resolve().parents[3]
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


def imported_by(name: str) -> Iterator[str]:
    """Files of this repository that one imports."""
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        paths = (module.replace(".", "/") for module in modules)
        yield from (file for path in paths for file in (f"{path}.py", f"{path}/__init__.py"))


def test_no_stage_imports_what_does_not_count_as_its_code() -> None:
    waiting = [f"spark_jobs/jobs/{job}.py" for job in ("clean", "deduplicate", "tokenise")]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        # tokenise writes the page about a corpus that is whole: nothing of it is in the manifest
        is_page = name.startswith("spark_jobs/report/")
        if name not in reached and (ROOT / name).is_file() and not is_page:
            reached.add(name)
            waiting += imported_by(name)
    ours = {name for name in reached if name.startswith(tuple(f"{folder}/" for folder in CORPUS_SOURCES))}
    expected = ("spark_jobs/dedup/decide.py", "include/object_store/s3.py", "include/contracts/documents.py")
    assert set(expected) <= ours
    assert [name for name in sorted(ours) if not is_corpus_source(name)] == []


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("spark_jobs/jobs/clean.py", True),
        ("spark_jobs/requirements.lock", True),
        ("include/contracts/documents.py", True),
        ("include/object_store/streams.py", True),
        ("spark_jobs/report/page.py", False),
        ("spark_jobs/report/page.css", False),
    ],
)
def test_what_decides_a_corpus(name: str, counts: bool) -> None:
    assert is_corpus_source(name) is counts
