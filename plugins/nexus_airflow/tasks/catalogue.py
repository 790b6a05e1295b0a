"""Tasks of corpus_refresh that put a version into the Glue Data Catalog."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.manifests import CorpusManifest, ParentRef
from include.contracts.storage import CorpusLayout, S3Uri
from include.settings import load_settings

if TYPE_CHECKING:
    from include.aws.catalogue import Catalogue

log = logging.getLogger(__name__)


@task
def prepare(reference: dict[str, str]) -> str:
    """Set the crawler to the version and return its name.

    The task is skipped if the version is registered, or if the settings name no database.
    """
    if not load_settings().database:
        raise AirflowSkipException("catalogue.database is empty in the settings: no catalogue is kept")
    manifest, catalogue = _read(ParentRef(**reference)), _catalogue()
    if catalogue.knows(manifest.version, ParentRef(**reference)):
        raise AirflowSkipException(f"corpus {manifest.version} is in the catalogue")
    return catalogue.prepare_crawl(CorpusLayout(S3Uri.parse(manifest.root_uri)))


@task
def register(reference: dict[str, str]) -> dict[str, int]:
    """Register the version as a partition of each table. Return the number of files of each."""
    manifest = ParentRef(**reference)
    done = _catalogue().register(_read(manifest), manifest)
    for entry in done:
        log.info("%s: %s files", entry.table, entry.files)
    return {entry.table: entry.files for entry in done}


def _catalogue() -> Catalogue:
    from include.aws.catalogue import Catalogue
    from include.aws.clients import client

    return Catalogue(client("glue"), load_settings())


def _read(reference: ParentRef) -> CorpusManifest:
    from include.object_store import ObjectStore

    return ObjectStore().read_record(CorpusManifest, S3Uri.parse(reference.uri), reference.sha256)
