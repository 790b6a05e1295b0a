"""The assets that join the DAGs. Each event carries the manifest's URI and hash in its ``extra``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

from include.contracts.errors import InputError
from include.contracts.manifests import ParentRef
from include.settings import load_settings

log = logging.getLogger(__name__)
_storage = load_settings().storage

raw_shards = Asset("raw_shards", uri=f"s3://{_storage.raw_bucket}/")
token_dataset = Asset("token_dataset", uri=f"s3://{_storage.processed_bucket}/corpus/")
candidate_model = Asset("candidate_model", uri=f"s3://{_storage.models_bucket}/runs/")
approved_model = Asset("approved_model", uri=f"s3://{_storage.models_bucket}/approved/")


def extra_of(reference: ParentRef, **more: str) -> dict[str, Any]:
    """What an event carries, so that the consumer reads exactly this manifest and no newer one."""
    return {"manifest_uri": reference.uri, "manifest_sha256": reference.sha256, **more}


def chosen_manifest(params: Mapping[str, Any], events: Any, asset: Asset) -> ParentRef:
    """The manifest of the param, else of the newest event of ``asset``; refuses when there is neither.

    Events that arrive together start one run: the newest wins, and the others are named in the log. The
    hash is empty when only a URI was given.
    """
    if params.get("manifest_uri"):
        return ParentRef(str(params["manifest_uri"]), str(params.get("manifest_sha256") or ""))
    found = list(events[asset]) if events and asset in events else []
    extras = [event.extra for event in sorted(found, key=lambda event: event.timestamp)]
    extras = [extra for extra in extras if extra.get("manifest_uri")]
    if not extras:
        raise InputError(
            "neither a manifest nor an event that carries one",
            where=f"asset {asset.name}",
            expected="the param manifest_uri, or an event with manifest_uri in its extra",
            remedy="trigger this DAG with manifest_uri, or run the DAG before it",
        )
    for extra in extras[:-1]:
        log.warning("superseded by a newer event, not used: %s", extra["manifest_uri"])
    return ParentRef(str(extras[-1]["manifest_uri"]), str(extras[-1].get("manifest_sha256", "")))
