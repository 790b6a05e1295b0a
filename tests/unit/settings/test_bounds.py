"""Every bounded setting accepts its bounds and refuses the next value beyond them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from include.contracts.errors import SettingsError
from include.contracts.records import from_plain
from include.settings import Settings
from tests.unit.settings.test_settings import dev

NAME = "x" * 128

#: Setting, the values at its bounds, and the values next to them that are refused.
BOUNDS: list[tuple[str, list[Any], list[Any]]] = [
    ("name", ["a", "a-1", "x" * 16], ["", "1a", "a-", "A", "x" * 17]),
    ("account", ["0" * 12], ["0" * 11, "0" * 13]),
    ("region", ["eu-west-1", "us-gov-east-1"], ["eu-west", "eu-west-12", "west"]),
    ("storage__raw_bucket", ["abc", "a" * 63], ["ab", "a" * 64, "-ab", "ab-", "A_b"]),
    ("storage__raw_prefix", ["a/", "a/b/"], ["a", "/a/"]),
    ("roles__glue", ["r", NAME], ["", f"{NAME}x", "a b"]),
    ("images__serving", ["r/n:t"], ["n:t", "r/n"]),
    ("emr__step_timeout_minutes", [1], [0]),
    ("emr__core_units", [1, 3], [0, 4]),  # with one task unit, of at most four
    ("emr__task_units", [1, 3], [0, 4]),
    ("emr__maximum_units", [2], [1]),
    ("emr__spot_timeout_minutes", [5, 1440], [4, 1441]),
    ("emr__idle_timeout_seconds", [60, 604_800], [59, 604_801]),
    ("emr__core_instance_types", [["m5.large"], [f"m{n}.large" for n in range(30)]], [[], ["m5"]]),
    ("emr__task_instance_types", [["a.x", "b.x"]], [["a.x", "b.y"], [f"m{n}.large" for n in range(31)]]),
    ("emr__python_archive", ["", "s3://b/x.tar.gz"], ["s3://b/x.zip", "x.tar.gz"]),
    ("emr__release", ["emr-7.0.0"], ["emr-7.0", "7.0.0"]),
    ("emr_serverless__maximum_vcpu", [8], [7]),
    ("emr_serverless__maximum_memory_gb", [32], [31]),
    ("emr_serverless__idle_timeout_minutes", [1, 10_080], [0, 10_081]),
    ("emr_serverless__execution_timeout_minutes", [5], [4]),
    ("emr_serverless__application", ["a", "a" * 64], ["", "a" * 65, "a b"]),
    ("emr_serverless__python_archive", ["", "s3://b/x.tar.gz"], ["s3://b/x.zip"]),
    ("glue__version", ["5.0", "5.1", "10.0"], ["4.9", "5", "5.0.1"]),
    ("glue__workers", [2], [1]),
    ("glue__timeout_minutes", [1], [0]),
    ("glue__job_prefix", ["x"], [""]),
    ("glue__worker_type", ["G.1X", "G.2X", "G.4X", "G.8X"], ["G.025X"]),
    ("glue__execution_class", ["STANDARD", "FLEX"], ["flex"]),
    ("catalogue__database", ["", "a", "a" * 255], ["a" * 256, "A", "a-b"]),
    ("corpus__engine", ["emr", "emr_serverless", "glue"], ["spark"]),
    ("training__instance_count", [1], [0]),
    ("training__volume_gib", [1], [0]),
    ("training__max_runtime_seconds", [60, 7200], [59]),
    ("training__max_wait_seconds", [3600], [3599]),
    ("processing__volume_gib", [1], [0]),
    ("processing__max_runtime_seconds", [60], [59]),
    ("processing__instance_type", ["ml.m5.large"], ["m5.large"]),
    ("serving__listener_port", [1, 65_535], [0, 65_536]),
    ("serving__container_port", [1, 65_535], [0, 65_536]),
    ("serving__desired_count", [1], [0]),
    ("serving__cpu_units", [256], [255]),
    ("serving__memory_mib", [512], [511]),
    ("serving__rollout_timeout_seconds", [60], [59]),
    ("serving__health_check_path", ["/", "/readyz"], ["readyz", ""]),
    ("serving__endpoint_url", ["http://h", "https://h/p"], ["ftp://h", "http://", "http://a b"]),
    ("serving__cluster", ["c"], [""]),
    ("registry__package_group", ["g"], [""]),
    ("airflow__owner", ["o"], [""]),
    ("airflow__hosts", [["*"]], [[]]),
    ("airflow__retries", [0], [-1]),
    ("airflow__retry_delay_seconds", [0], [-1]),
    ("airflow__poll_interval_seconds", [0.01], [0.0, -1.0]),
    ("airflow__new_shards_wait_seconds", [0], [-1]),
    ("airflow__capacity_wait_seconds", [0], [-1]),
]
CASES = [(path, value, True) for path, accepted, _ in BOUNDS for value in accepted]
CASES += [(path, value, False) for path, _, refused in BOUNDS for value in refused]


@pytest.mark.parametrize(("path", "value", "accepted"), CASES)
def test_a_value_at_its_bound_is_accepted_and_the_next_one_refused(
    path: str, value: Any, accepted: bool
) -> None:
    name = path.replace("__", ".")
    if accepted:
        settings = from_plain(Settings, dev(**{path: value}), where="dev.toml", error=SettingsError)
        found: Any = settings
        for part in path.split("__"):
            found = getattr(found, part)
        assert found == (tuple(value) if isinstance(value, list) else value)
        return
    with pytest.raises(SettingsError) as refusal:
        from_plain(Settings, dev(**{path: value}), where="dev.toml", error=SettingsError)
    # more units of one kind than fit are refused by the limit of both together
    assert name in str(refusal.value) or (value == 4 and "emr.maximum_units" in str(refusal.value))


@pytest.mark.parametrize(
    ("part_mib", "max_batches", "fetch_timeout_seconds", "named"),
    [
        (5, 1, 60, ""),
        (512, 1024, 43_200, ""),
        (4, 1, 60, "ingestion.part_mib"),
        (513, 1, 60, "ingestion.part_mib"),
        (5, 0, 60, "ingestion.max_batches"),
        (5, 1025, 60, "ingestion.max_batches"),
        (5, 1, 59, "ingestion.fetch_timeout_seconds"),
    ],
)
def test_the_settings_of_ingestion_have_bounds(
    part_mib: int, max_batches: int, fetch_timeout_seconds: int, named: str
) -> None:
    plain = dev() | {
        "ingestion": {
            "part_mib": part_mib,
            "max_batches": max_batches,
            "fetch_timeout_seconds": fetch_timeout_seconds,
        }
    }
    if not named:
        settings = from_plain(Settings, plain, where="dev.toml", error=SettingsError)
        assert settings.ingestion.part_mib == part_mib
        return
    with pytest.raises(SettingsError, match=re.escape(named)):
        from_plain(Settings, plain, where="dev.toml", error=SettingsError)


def test_what_the_environment_creates_carries_its_name() -> None:
    settings = from_plain(Settings, dev(name="my-dev"), where="dev.toml", error=SettingsError)
    assert settings.package_group == "nexus-llm-my-dev"
    assert settings.crawler == "nexus-llm-corpus-my-dev"
    assert settings.database == "nexus_llm_my_dev"
    assert settings.tags == {"project": "nexus-llm", "environment": "my-dev"}
    assert settings.role_arn("r") == "arn:aws:iam::123456789012:role/r"
    assert str(settings.storage.raw) == "s3://nexus-llm-raw/pile/"
    assert str(settings.storage.artifacts) == "s3://nexus-llm-processed/artifacts/"
    without = from_plain(Settings, dev(catalogue__database=""), where="dev.toml", error=SettingsError)
    assert without.database == ""
