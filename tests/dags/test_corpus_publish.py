"""Announcements of corpus_refresh: of what, and when."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.errors import InputError
from include.contracts.manifests import ParentRef
from include.contracts.storage import CorpusLayout
from include.object_store import ObjectStore
from include.planning.published import inputs_of_latest
from nexus_airflow.tasks import training
from nexus_airflow.tasks.corpus import publish
from tests.dags.conftest import LATEST, SHARD, form, values


def announced(
    layout: CorpusLayout, manifest: ParentRef, *, exists: bool, again: bool = False, run: str = "first"
) -> int:
    plan = {"version": "v1", "root_uri": str(layout.root), "exists": exists, "latest_uri": str(LATEST)}
    dag_run = SimpleNamespace(dag_id="corpus_refresh", run_id=run)
    params = {"continue_downstream": again}
    return len(list(publish.function(plan, vars(manifest), params=params, dag_run=dag_run)))


def test_a_corpus_that_was_built_but_never_announced_is_announced_by_the_next_run(
    whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any
) -> None:
    """The run that built it ended between its jobs and publish; the next one finds the version there."""
    assert inputs_of_latest(LATEST) == ()
    assert announced(*whole_corpus, exists=True) == 1
    assert inputs_of_latest(LATEST) == (SHARD,)


def test_what_was_announced_is_announced_again_only_on_request_or_when_built_anew(
    whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any
) -> None:
    assert announced(*whole_corpus, exists=False) == 1
    with pytest.raises(AirflowSkipException, match="was announced before"):
        announced(*whole_corpus, exists=True, run="second")
    assert announced(*whole_corpus, exists=True, again=True, run="second") == 1
    assert announced(*whole_corpus, exists=False) == 1


def test_a_try_that_died_before_its_event_was_sent_is_made_good_by_the_next(
    whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any
) -> None:
    assert announced(*whole_corpus, exists=True) == 1
    assert announced(*whole_corpus, exists=True) == 1, "the same run"


def test_a_note_of_an_earlier_release_counts(
    whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any
) -> None:
    layout, manifest = whole_corpus
    ObjectStore().write_record(layout.announced(settings_file.name), manifest)  # without a run
    with pytest.raises(AirflowSkipException, match="was announced before"):
        announced(layout, manifest, exists=True)


def test_a_training_by_hand_takes_the_corpus_that_was_published_last(
    whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any, aws: Any
) -> None:
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    dag, run = form("model_training"), SimpleNamespace(dag_id="model_training", run_id="r")
    with pytest.raises(InputError, match="there is no token_dataset yet"):
        training.plan.function(params=values(dag), dag=dag, dag_run=run)
    announced(*whole_corpus, exists=False)
    planned = training.plan.function(params=values(dag), dag=dag, dag_run=run)
    assert planned["corpus"] == vars(whole_corpus[1])
    assert planned["chosen_by"] == "newest one there is"


def test_two_environments_announce_the_same_version_each_to_its_own_dags(
    whole_corpus: tuple[CorpusLayout, ParentRef],
    settings_file: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert announced(*whole_corpus, exists=True) == 1
    path = tmp_path / "green.toml"
    path.write_text((tmp_path / "settings.toml").read_text().replace('name = "dev"', 'name = "green"', 1))
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    assert announced(*whole_corpus, exists=True, run="second") == 1
