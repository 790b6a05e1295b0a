"""Names of jobs and runs are valid everywhere, the same for every try, and different for each identity."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.job_names import GENERATION_LIMIT, JobIdentity, RunIdentity

RUN = RunIdentity("dev", "corpus_refresh", "manual__2026-11-01T00:00:00+00:00")
texts = st.text(max_size=90)


@given(texts, texts, texts, texts, st.integers(1, GENERATION_LIMIT))
def test_a_name_is_valid_in_every_service(
    environment: str, dag: str, run: str, task: str, generation: int
) -> None:
    identity = JobIdentity(environment, dag, run, task)
    name = identity.name(generation)
    assert re.fullmatch(r"[a-z0-9](-*[a-z0-9])*", name)
    assert len(name) <= 63
    assert identity.has_name(name)


@given(st.tuples(texts, texts, texts, texts), st.tuples(texts, texts, texts, texts))
def test_two_identities_have_two_names(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    # fields are joined by line feeds, which no id of Airflow has
    plain = ["\n".join(fields) for fields in (left, right)]
    same = JobIdentity(*left).stem == JobIdentity(*right).stem
    assert same is (plain[0] == plain[1])


def test_a_name_is_readable_first() -> None:
    assert RUN.job("train").name(2) == "dev-train-" + RUN.job("train").stem[-12:] + "-g2"
    assert re.fullmatch(r"dev-train-[0-9a-f]{12}", RUN.job("train").stem)
    long = replace(RUN, environment="e" * 60).job("t" * 60)
    assert len(long.name(GENERATION_LIMIT)) == 63


def test_a_long_name_is_cut_between_words() -> None:
    stem = replace(RUN, environment="x" * 43).job("-task").stem
    assert re.fullmatch(r"x{43}-t?-?[0-9a-f]{12}", stem)
    assert "--" not in stem


@pytest.mark.parametrize("generation", [0, -1, GENERATION_LIMIT + 1])
def test_a_generation_has_limits(generation: int) -> None:
    with pytest.raises(ValueError, match="generation must be 1 to 9999"):
        RUN.job("train").name(generation)
    assert RUN.job("train").name(1).endswith("-g1")


def test_only_generations_of_a_stem_are_its_jobs() -> None:
    identity = RUN.job("train")
    stem = identity.stem
    assert identity.has_name(f"{stem}-g12")
    assert not any(map(identity.has_name, (stem, f"{stem}-g", f"{stem}-gx", f"a{stem}-g1", f"{stem}-g1-x")))


def test_a_mapped_task_has_its_index_and_another_task_none() -> None:
    assert RUN.job("fetch", 0).task_id == "fetch-0"
    assert RUN.job("fetch", 3).task_id == "fetch-3"
    assert RUN.job("fetch", -1) == RUN.job("fetch", None) == RUN.job("fetch")


def test_a_run_has_one_name_one_cluster_and_one_owner_of_a_rollout() -> None:
    assert RUN.cluster == RUN.job("cluster").name(1)
    assert RUN.rollout("roll_out") == RUN.job("roll_out").stem
    assert re.fullmatch(r"manual-2026-11-01t00-00-00-00-00-[0-9a-f]{8}", RUN.name)
    others = [replace(RUN, environment="prod"), replace(RUN, dag_id="x"), replace(RUN, run_id="y")]
    assert len({run.name for run in (RUN, *others)}) == 4
    assert len({run.cluster for run in (RUN, *others)}) == 4


@pytest.mark.parametrize(
    ("run_id", "readable"), [("r" * 60, "r" * 40), ("r" * 39 + "__x", "r" * 39), ("__", "x")]
)
def test_the_name_of_a_run_is_short(run_id: str, readable: str) -> None:
    assert re.fullmatch(rf"{readable}-[0-9a-f]{{8}}", replace(RUN, run_id=run_id).name)
