"""The artifacts of `make package`: names, hashes, and the code that decides a corpus version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.contracts.errors import ContractError
from include.contracts.manifests import SCHEMA_VERSION, FileEntry
from include.contracts.records import canonical_json, content_hash

SPARK_ARCHIVE = "spark_jobs.zip"
#: The script that unpacks the Python environment on the master node of an EMR cluster.
EMR_BOOTSTRAP = "emr_python_environment.sh"
#: The libraries of the Spark jobs with every version pinned, for Glue to install.
GLUE_REQUIREMENTS = "glue_requirements.txt"
#: The files that the jobs need in addition to ``jobs/``, in the same folder of S3.
CODE_FILES = (SPARK_ARCHIVE, EMR_BOOTSTRAP, GLUE_REQUIREMENTS)
#: Folders whose code decides the bytes of a corpus, in addition to its inputs and recipe.
CORPUS_SOURCES = ("spark_jobs", "include/contracts", "include/object_store")

#: Files of CORPUS_SOURCES that no stage imports (a test checks this). A change to them rebuilds no corpus:
#: the report, exports and traces of a corpus, and the contracts of other jobs.
_NOT_OF_A_STAGE = (
    "include/contracts/evaluation.py",
    "include/contracts/ingestion.py",
    "include/contracts/job_names.py",
    "spark_jobs/tokens/export.py",
    "spark_jobs/report/",
    "spark_jobs/tokens/export_task.py",
    "spark_jobs/tokens/mds.py",
    "spark_jobs/tokens/parquet.py",
    "spark_jobs/tokens/sequences.py",
    "spark_jobs/corpus_version/trace.py",
)


def is_corpus_source(name: str) -> bool:
    """Return True if a file of CORPUS_SOURCES, given by its path, takes part in the bytes of a corpus."""
    return name.endswith((".py", "/requirements.lock")) and not name.startswith(_NOT_OF_A_STAGE)


def sources_hash(sources: Mapping[str, str]) -> str:
    """Combine the hashes of all sources that decide a corpus, given by their paths, into one."""
    return content_hash(canonical_json(dict(sources)))


@dataclass(frozen=True)
class ArtifactsManifest:
    """The record ``artifacts.json`` next to the artifacts; file paths are relative to it.

    ``sources_sha256`` covers the files for which ``is_corpus_source`` is True: a commit that changes only a
    README recomputes nothing. ``git_sha`` is for the reader.
    """

    git_sha: str
    sources_sha256: str
    sources: dict[str, str]
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def code_folder(self) -> str:
        """The folder of the jobs' code in S3, next to ``artifacts.json``: ``<hash of it all>/``.

        An upload of other code does not replace files that a running step reads.
        """
        return f"{content_hash(canonical_json({entry.path: entry.sha256 for entry in self.code}))}/"

    @property
    def code(self) -> tuple[FileEntry, ...]:
        """Return the files that the Spark jobs need. Raises ContractError if one was not packaged."""
        missing = sorted(set(CODE_FILES) - {entry.path for entry in self.files})
        if missing:
            expected = ", ".join(missing)
            raise ContractError(
                "files of the Spark jobs are missing",
                where="artifacts.json",
                expected=expected,
                remedy="run `make package` and upload its artifacts again",
            )
        return tuple(e for e in self.files if e.path in CODE_FILES or e.path.startswith("jobs/"))
