"""Params that several trigger forms share."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Param


def manifest_params(asset: Asset, title: str, example: str) -> dict[str, Param]:
    """``manifest_uri`` and ``manifest_sha256``: which manifest a run by hand takes.

    :param example: what the URI looks like
    """
    return {
        "manifest_uri": Param(
            "",
            type="string",
            pattern=r"^(s3://.+/manifest\.json)?$",
            title=title,
            description=f"{example}. A run by hand needs it; one that {asset.name} started has it already",
            section="Input",
        ),
        "manifest_sha256": Param(
            "",
            type="string",
            pattern=r"^([0-9a-f]{64})?$",
            title="Hash of the manifest",
            description="With a manifest: refuse another SHA-256. Empty: whatever is there",
            section="Input",
        ),
    }


def is_true(value: Any) -> bool:
    """Whether a templated field, which may have become text, says yes."""
    return str(value).strip().lower() in ("true", "1", "yes")
