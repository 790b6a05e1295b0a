"""The packager and the code itself compute the same hash of the code that decides a corpus."""

from __future__ import annotations

from include.contracts.artifacts import sources_hash
from infrastructure.packaging.build import ROOT, corpus_sources
from spark_jobs.corpus_version.code import sources_sha256


def test_the_code_knows_the_hash_that_the_packager_notes() -> None:
    sources = corpus_sources(ROOT)
    assert {
        "spark_jobs/corpus_version/code.py",
        "include/contracts/records.py",
        "spark_jobs/requirements.lock",
    } <= set(sources)
    assert sources_sha256() == sources_hash(sources)
