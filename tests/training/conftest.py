"""One small corpus and one uninterrupted run for the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.training.corpora import Corpus, LocalRun, make_corpus, make_run

# the machine is shared: examples must not fail for being slow, and a failure must come back
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "root")


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> tuple[LocalRun, str]:
    """A finished run and its output; tests must not change its files."""
    run = make_run(tmp_path_factory.mktemp("uninterrupted"), corpus)
    code, output = run.finish()
    assert code == 0, output
    return run, output
