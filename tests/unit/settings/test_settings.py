from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import SettingsError
from include.contracts.records import from_plain
from include.settings import Settings, load_settings
from include.settings.loading import settings_from_toml

DEV = Path(__file__).resolve().parents[3] / "include" / "settings" / "dev.toml"


def dev(**changes: Any) -> dict[str, Any]:
    """dev.toml with values replaced: ``training__spot=True``."""
    plain = tomllib.loads(DEV.read_text())
    for path, value in changes.items():
        section, _, key = path.rpartition("__")
        (plain[section] if section else plain)[key] = value
    return plain


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_packaged_settings_are_valid(name: str) -> None:
    assert load_settings(name).name == name


def test_production_buckets_carry_account_and_region() -> None:
    settings = load_settings("prod")
    suffix = f"-{settings.account}-{settings.region}"
    storage = settings.storage
    buckets = (storage.raw_bucket, storage.processed_bucket, storage.models_bucket)
    assert all(bucket.endswith(suffix) for bucket in buckets)


def test_environment_variable_chooses_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DEV.read_text().replace('name = "dev"', 'name = "mine"', 1))
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    assert load_settings().name == "mine"


def test_missing_file_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"dev, prod.*NEXUS_SETTINGS"):
        load_settings(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    "text", ["name", "name = " + "[" * 10_000, "name = " + "9" * 5000], ids=["cut", "deep", "long"]
)
def test_a_text_that_is_no_toml_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"own\.toml: not valid TOML"):
        settings_from_toml(text, where="own.toml")


def test_missing_setting_is_named() -> None:
    text = re.sub(r"^raw_bucket.*\n", "", DEV.read_text(), flags=re.MULTILINE)
    with pytest.raises(SettingsError, match=r"dev\.toml: storage: 'raw_bucket' is missing"):
        settings_from_toml(text, where="dev.toml")


def test_unknown_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="unknown key 'bukket'"):
        from_plain(Settings, dev(storage__bukket="x"), where="x", error=SettingsError)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"account": "12"}, "account"),
        ({"region": "mars"}, "region"),
        ({"storage__raw_bucket": "No_Bucket"}, "storage.raw_bucket"),
        ({"storage__artifacts_prefix": "/artifacts"}, "storage.artifacts_prefix"),
        ({"images__training": "latest"}, "images.training"),
        ({"emr__release": "7.10"}, "emr.release"),
        ({"emr__log_uri": "logs"}, "emr.log_uri"),
        ({"emr__core_units": 0}, "emr.core_units"),
        ({"emr__maximum_units": 1}, "emr.maximum_units"),
        ({"emr__subnet_ids": []}, "emr.subnet_ids"),
        ({"emr__task_instance_types": ["m5.xlarge", "m5.2xlarge"]}, "emr.task_instance_types"),
        ({"emr__master_instance_types": []}, "emr.master_instance_types"),
        ({"emr__spot_timeout_minutes": 4}, "emr.spot_timeout_minutes"),
        ({"emr__python_archive": "pyspark_env.tar.gz"}, "emr.python_archive"),
        ({"emr_serverless__release": "7.10"}, "emr_serverless.release"),
        ({"emr_serverless__log_uri": "logs"}, "emr_serverless.log_uri"),
        ({"emr_serverless__application": ""}, "emr_serverless.application"),
        ({"emr_serverless__idle_timeout_minutes": 0}, "emr_serverless.idle_timeout_minutes"),
        ({"glue__version": "4.0"}, "glue.version"),
        ({"glue__worker_type": "big"}, "glue.worker_type"),
        ({"glue__workers": 1}, "glue.workers"),
        ({"glue__execution_class": "CHEAP"}, "glue.execution_class"),
        ({"glue__spark_properties": {"spark.a": "-Dx=1 -Dy=2"}}, "glue.spark_properties.spark.a"),
        ({"catalogue__database": "nexus-llm"}, "catalogue.database"),
        ({"catalogue__crawler": ""}, "catalogue.crawler"),
        ({"roles__glue": ""}, "roles.glue"),
        ({"training__max_wait_seconds": 100}, "training.max_wait_seconds"),
        ({"training__instance_type": "m5.large"}, "training.instance_type"),
        ({"serving__listener_port": 70_000}, "serving.listener_port"),
        ({"serving__endpoint_url": "here"}, "serving.endpoint_url"),
        ({"serving__desired_count": 0}, "serving.desired_count"),
        ({"airflow__poll_interval_seconds": 0.0}, "airflow.poll_interval_seconds"),
    ],
)
def test_impossible_value_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(named)):
        from_plain(Settings, dev(**changes), where="dev.toml", error=SettingsError)
