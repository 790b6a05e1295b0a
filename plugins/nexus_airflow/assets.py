"""The assets that join the DAGs, and the manifest that a run takes from them.

An event carries the URI and the hash of a manifest in its ``extra``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ChosenManifest:
    """The manifest of a run and its origin, for the reader of the plan.

    The hash is empty if only a URI was given. ``superseded`` has the extras of older events that arrived
    with the chosen one: events that arrive together start one run.
    """

    manifest: ParentRef
    chosen_by: str
    superseded: tuple[dict[str, Any], ...] = ()

    @property
    def is_chosen_by_a_person(self) -> bool:
        """Return True if the param ``manifest_uri`` named the manifest."""
        return self.chosen_by == _BY_PARAM


_BY_PARAM, _BY_EVENT, _BY_AGE = "param manifest_uri", "event that started this run", "newest one there is"


def extra_of(reference: ParentRef, **more: str) -> dict[str, Any]:
    """Return the ``extra`` of an event, by which the consumer reads exactly this manifest."""
    return {"manifest_uri": reference.uri, "manifest_sha256": reference.sha256, **more}


def choose_manifest(
    params: Mapping[str, Any], events: Any, asset: Asset, newest: Callable[[], ParentRef | None]
) -> ChosenManifest:
    """Choose the manifest of a run: that of the param, of the newest event, or the newest that exists.

    Raises InputError if there is none.

    :param newest: looks up the newest manifest that the DAG before this one made
    """
    uri, sha256 = str(params.get("manifest_uri") or ""), str(params.get("manifest_sha256") or "")
    if uri:
        return _told(asset, ChosenManifest(ParentRef(uri, sha256), _BY_PARAM))
    if sha256:
        remedy = "give manifest_uri too, or leave manifest_sha256 empty"
        raise InputError("a hash without its manifest", where="param manifest_sha256", remedy=remedy)
    found = list(events[asset]) if events and asset in events else []
    extras = [event.extra for event in sorted(found, key=lambda event: event.timestamp)]
    extras = [extra for extra in extras if extra.get("manifest_uri")]
    if extras:
        last = ParentRef(str(extras[-1]["manifest_uri"]), str(extras[-1].get("manifest_sha256", "")))
        older = [extra for extra in extras[:-1] if extra["manifest_uri"] != last.uri]
        return _told(asset, ChosenManifest(last, _BY_EVENT, tuple(older)))
    reference = newest()
    if reference is None:
        raise InputError(
            f"there is no {asset.name} yet",
            where=f"asset {asset.name}",
            expected="the param manifest_uri, an event with a manifest, or an earlier one",
            remedy="run the DAG before this one, or trigger this one with manifest_uri",
        )
    return _told(asset, ChosenManifest(reference, _BY_AGE))


def _told(asset: Asset, choice: ChosenManifest) -> ChosenManifest:
    log.info("%s by %s: %s", asset.name, choice.chosen_by, choice.manifest.uri)
    for extra in choice.superseded:
        log.warning("superseded by a newer event, not used: %s", extra["manifest_uri"])
    return choice
