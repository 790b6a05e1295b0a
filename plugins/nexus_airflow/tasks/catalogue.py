"""Tasks of corpus_refresh that put a version into the Glue Data Catalog."""

from __future__ import annotations

import logging

from airflow.sdk.exceptions import AirflowSkipException

from include.aws.catalogue import Catalogue
from include.aws.clients import client
from include.contracts.manifests import CorpusManifest, ParentRef
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.settings import load_settings

log = logging.getLogger(__name__)


def prepare(reference: dict[str, str]) -> str:
    """Point the crawler at the version; its name. Skips where there is no database, or nothing is new."""
    settings = load_settings()
    if not settings.catalogue.database:
        raise AirflowSkipException("catalogue.database is empty in the settings: no catalogue is kept")
    manifest = _read(ParentRef(**reference))
    catalogue = Catalogue(client("glue"), settings)
    if catalogue.knows(manifest.version, ParentRef(**reference)):
        raise AirflowSkipException(f"corpus {manifest.version} is in the catalogue")
    return catalogue.prepare_crawl(CorpusLayout(S3Uri.parse(manifest.root_uri)))


def register(reference: dict[str, str]) -> dict[str, int]:
    """Partitions of the version in each table; how many files each lists."""
    manifest = ParentRef(**reference)
    done = Catalogue(client("glue"), load_settings()).register(_read(manifest), manifest)
    for entry in done:
        log.info("%s: %s files", entry.table, entry.files)
    return {entry.table: entry.files for entry in done}


def _read(reference: ParentRef) -> CorpusManifest:
    return ObjectStore().read_record(CorpusManifest, S3Uri.parse(reference.uri), reference.sha256)
