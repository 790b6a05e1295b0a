"""The folder of one corpus version, in S3 or local, with its keys, request, stage reports and manifest."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, TypeVar

from include.contracts.errors import ContractError, RecipeError
from include.contracts.manifests import CorpusManifest, CorpusRequest, StageReport
from include.contracts.records import canonical_json, from_plain
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe

T = TypeVar("T")

_KEYS = CorpusLayout(S3Uri("bucket", ""))


@dataclass(frozen=True)
class VersionLayout:
    """The URIs below ``root``, by the key table of ``include.contracts.storage.CorpusLayout``."""

    root: str

    def of(self, key: S3Uri) -> str:
        """Return the URI of one of CorpusLayout's keys below this root."""
        return join(self.root, key.key)

    @property
    def clean(self) -> str:
        """Parquet of normalised and filtered documents, including duplicates."""
        return join(self.of(_KEYS.work), "clean")

    @property
    def clean_index(self) -> str:
        """JSON list of CleanFile."""
        return join(self.of(_KEYS.work), "clean_index.json")

    @property
    def clean_parts(self) -> str:
        """JSON of each task of clean that has written its files."""
        return join(self.of(_KEYS.work), "clean_parts")

    @property
    def signatures(self) -> str:
        """Parquet of SIGNED_SCHEMA, one file per clean file with the same name, including duplicates."""
        return join(self.of(_KEYS.work), "signatures")

    @property
    def examples(self) -> str:
        """JSON of the first dropped records and documents: {stage: {reason: [{"id", "text"}]}}."""
        return join(self.of(_KEYS.work), "examples.json")

    @property
    def near_dedup(self) -> str:
        """Edges and components of near dedup."""
        return join(self.of(_KEYS.work), "near_dedup")

    @property
    def decisions(self) -> str:
        """Parquet of DECIDED_SCHEMA, a folder ``part=<n>/file=<m>`` per clean file with decisions."""
        return join(self.of(_KEYS.work), "decisions")

    @property
    def outputs_index(self) -> str:
        """JSON list of OutputPart, the files that deduplicate wrote."""
        return join(self.of(_KEYS.work), "outputs_index.json")

    def error(self, job: str) -> str:
        """JobError of the newest run of this job."""
        return self.of(_KEYS.error(job))

    @property
    def work_tokens(self) -> str:
        return join(self.of(_KEYS.work), "tokens")

    @property
    def documents(self) -> str:
        return self.of(_KEYS.documents)

    @property
    def held_out(self) -> str:
        return self.of(_KEYS.held_out)

    @property
    def duplicates(self) -> str:
        return self.of(_KEYS.duplicates)

    @property
    def index(self) -> str:
        """Parquet of SIGNED_SCHEMA, only the kept documents."""
        return self.of(_KEYS.index)

    @property
    def tokens(self) -> str:
        return self.of(_KEYS.tokens)

    @property
    def held_out_tokens(self) -> str:
        return self.of(_KEYS.held_out_tokens)

    @property
    def tokenizer(self) -> str:
        return self.of(_KEYS.tokenizer)

    @property
    def report_page(self) -> str:
        return self.of(_KEYS.report)

    @property
    def manifest(self) -> str:
        return self.of(_KEYS.manifest)

    def discard_work(self) -> None:
        """Delete the intermediate files: texts before dedup, signatures and unpacked tokens.

        They are about as large as the corpus, and nothing reads them once the version is complete. A folder
        that cannot be deleted only costs storage, so this does not fail. The next call tries again.
        """
        folders = (self.clean, self.clean_parts, self.signatures, self.near_dedup, self.decisions)
        for folder in (*folders, self.work_tokens):
            try:
                STORE.delete_folder(folder)
            except Exception as error:
                print(f"{folder} stays ({type(error).__name__}: {error})", file=sys.stderr)

    def relative(self, uri: str) -> str:
        """Return the path below the root, by which manifests name files."""
        return uri[len(self.root.rstrip("/")) + 1 :]

    def report(self, stage: str) -> StageReport | None:
        """Read the report of a stage; None if the stage is not complete, that is, has no report."""
        uri = self.of(_KEYS.stage_report(stage))
        if not STORE.exists(uri):
            return None
        return STORE.read_record(StageReport, uri)

    def completed(self, stage: str) -> StageReport:
        """Read the report of a stage that must have run. Raises ContractError if it is not complete."""
        report = self.report(stage)
        if report is None:
            raise ContractError(
                f"stage {stage} is not complete",
                where=self.root,
                expected="the report of the stage",
                remedy="run clean, deduplicate and tokenise in this order",
            )
        return report

    def save_report(self, report: StageReport) -> None:
        """Mark a stage as complete. Call this after all other files of the stage are written."""
        STORE.write(self.of(_KEYS.stage_report(report.stage)), canonical_json(report))

    def save_manifest(self, manifest: CorpusManifest) -> None:
        """Write the manifest, the last file of a corpus version."""
        STORE.write(self.manifest, canonical_json(manifest))

    def load_manifest(self) -> CorpusManifest | None:
        """Read the manifest; None if the version is incomplete."""
        if not STORE.exists(self.manifest):
            return None
        return STORE.read_record(CorpusManifest, self.manifest)


def load_request(uri: str) -> tuple[CorpusRequest, CorpusRecipe, VersionLayout]:
    """Read a request. Return it with its recipe and the layout of its version."""
    request = STORE.read_record(CorpusRequest, uri)
    recipe = from_plain(CorpusRecipe, request.recipe, where=f"{uri}: recipe", error=RecipeError)
    return request, recipe, VersionLayout(request.root_uri)


def save_records(uri: str, records: list[Any]) -> None:
    """Write a list of dataclasses as JSON."""
    STORE.write(uri, canonical_json(records))


def load_records(kind: type[T], uri: str) -> list[T]:
    """Read a list that ``save_records`` wrote."""
    plain = json.loads(STORE.read(uri))
    return [from_plain(kind, item, where=f"{uri}[{i}]") for i, item in enumerate(plain)]
