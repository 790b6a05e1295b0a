"""The column 'called by the project': also where several services share the name of a method."""

from __future__ import annotations

import pytest
from botocore import xform_name

from tests.local_aws.operations.callers import (
    OPERATORS,
    PROVIDER,
    REPOSITORY,
    called,
    imported_operators,
    operations_of,
)


def test_a_name_of_one_service_needs_nothing_else() -> None:
    assert operations_of("anything.run_job_flow()", "m.py") == ({("emr", "RunJobFlow")}, [])


def test_a_shared_name_is_of_the_service_that_its_client_is_made_for() -> None:
    found = operations_of('client(config, "ecs").create_cluster()', "m.py")
    assert found == ({("ecs", "CreateCluster")}, [])


def test_a_shared_name_is_of_the_service_of_its_receivers_other_calls() -> None:
    code = "self._glue.get_job_runs()\nself._glue.start_job_run()\nemr.list_steps()\nemr.list_clusters()"
    found, unresolved = operations_of(code, "m.py")
    assert found == {
        ("glue", "GetJobRuns"), ("glue", "StartJobRun"), ("emr", "ListSteps"), ("emr", "ListClusters")
    }  # fmt: skip
    assert unresolved == []


def test_a_paginator_has_its_receiver_too() -> None:
    code = 'emr.list_steps()\nemr.get_paginator("list_clusters")'
    assert ("emr", "ListClusters") in operations_of(code, "m.py")[0]


def test_a_client_that_is_an_argument_is_known_by_its_name() -> None:
    assert operations_of("def f(emr): emr.list_clusters()", "m.py")[0] == {("emr", "ListClusters")}
    assert operations_of("self._emr_serverless.get_job_run()", "m.py")[0] == {("emr-serverless", "GetJobRun")}


def test_what_cannot_be_told_is_told_so() -> None:
    assert operations_of("x = 1\nthing.list_clusters()", "m.py") == (set(), ["m.py:2: thing.list_clusters"])


def test_calls_that_were_blank_once_are_found() -> None:
    assert {
        ("emr", "ListClusters"),
        ("emr", "DescribeCluster"),
        ("glue", "StartJobRun"),
        ("glue", "StartCrawler"),
        ("emr-serverless", "StartJobRun"),
        ("emr-serverless", "GetJobRun"),
        ("ecs", "CreateCluster"),
    } <= called()[0]


def test_the_operators_of_the_provider_are_those_that_the_project_imports() -> None:
    assert set(OPERATORS) == imported_operators()


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_the_provider_has_the_calls_that_are_ascribed_to_its_operators(operator: str) -> None:
    site = REPOSITORY / ".venvs/airflow/lib"
    (amazon,) = site.glob(f"python3.*/site-packages/{PROVIDER.rpartition('.')[0].replace('.', '/')}")
    service = "glue_crawler"
    parts = [amazon / folder / f"{service}.py" for folder in ("operators", "hooks", "links")]
    code = "".join(path.read_text() for path in parts if path.exists())
    assert f"class {operator}(" in code
    assert [name for _, name in OPERATORS[operator] if f".{xform_name(name)}(" not in code] == []
