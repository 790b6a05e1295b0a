"""Credentials in a request are hidden on its page, wherever they are; other values are shown."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.ui.masking import masked

_ = "••••"


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        ({"HF_TOKEN": "hf_x", "EPOCHS": "3"}, {"HF_TOKEN": _, "EPOCHS": "3"}),
        ({"password": 1234, "Password": None}, {"password": _, "Password": _}),
        ({"Credentials": {"User": "u", "Secret": "s"}}, {"Credentials": {"User": "u", "Secret": _}}),
        ([{"name": "DB_PASSWORD", "value": "x"}], [{"name": "DB_PASSWORD", "value": _}]),
        ([{"Key": "api-key", "Value": "x"}], [{"Key": "api-key", "Value": _}]),
        ([{"Key": "team", "Value": "x"}], [{"Key": "team", "Value": "x"}]),
        (["--db-password", "x", "--rows", "3"], ["--db-password", _, "--rows", "3"]),
        (["--db-password=x y", "--rows=3"], [f"--db-password={_} y", "--rows=3"]),
        (["--conf", "spark.hadoop.fs.s3a.secret.key=x"], ["--conf", f"spark.hadoop.fs.s3a.secret.key={_}"]),
        ("--token x --rows 3 --conf a.Password=y", f"--token {_} --rows 3 --conf a.Password={_}"),
        ('{"api_key": "x", "rows": 3}', f'{{"api_key": "{_}", "rows": 3}}'),
        ("Authorization: Bearer x", f"Authorization: {_}"),
        ("https://user:x@host/a?b=c", f"https://user:{_}@host/a?b=c"),
        ("https://host/a?b=c&X-Amz-Signature=x", f"https://host/a?b=c&X-Amz-Signature={_}"),
    ],
)
def test_credentials_are_hidden_by_their_names(request_: Any, shown: Any) -> None:
    assert masked(request_) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"Name": "train:tokens_per_second", "Regex": "tokens_per_second=([0-9.eE+-]+)"},
        {"ChannelName": "tokenizer", "S3Uri": "s3://bucket/tokens/"},
        ["--request", "s3://bucket/corpus/v/request.json", "--secret"],
        ["--max-tokens", "16", "http://127.0.0.1:8080/a", "a@b:c"],
        {"Rows": 3, "Force": True, "Nothing": None},
    ],
)
def test_the_data_of_this_project_is_shown(value: Any) -> None:
    assert masked(value) == value
