"""The documents that each stage dropped, by reason, from the stage reports, checked to add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from include.contracts.documents import Stage
from include.contracts.errors import ContractError
from include.contracts.manifests import CorpusManifest, StageReport
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout

_KNOWN_ORDER = {stage.value: position for position, stage in enumerate(Stage)}


@dataclass(frozen=True)
class DropCount:
    """Documents that a stage dropped for one reason."""

    stage: str
    reason: str
    documents: int


@dataclass(frozen=True)
class Funnel:
    """The stage reports in order. The output of each stage is the input of the next."""

    stages: tuple[StageReport, ...]
    documents_in: int
    documents_kept: int
    documents_held_out: int

    @property
    def losses(self) -> list[DropCount]:
        """The losses of all stages, the largest first."""
        losses = [
            DropCount(report.stage, reason, count)
            for report in self.stages
            for reason, count in report.dropped.items()
        ]
        return sorted(losses, key=lambda loss: (-loss.documents, loss.stage, loss.reason))

    @property
    def seconds(self) -> float:
        """The run time of all stages together."""
        return sum(report.seconds for report in self.stages)


def read_stages(layout: VersionLayout) -> list[StageReport]:
    """Read every report in ``stages/`` in stage order, including stages that this code does not know."""
    uris = [uri for uri in STORE.uris(join(layout.root, "stages")) if uri.endswith(".json")]
    reports = [STORE.read_record(StageReport, uri) for uri in uris]
    # documents in never grow from stage to stage, so they give the order; equal ones use the known order
    return sorted(
        reports,
        key=lambda r: (-r.documents_in, -r.documents_out, _KNOWN_ORDER.get(r.stage, len(_KNOWN_ORDER))),
    )


def of_the_whole(stages: Sequence[StageReport], manifest: CorpusManifest) -> list[StageReport]:
    """Replace each stage's counts by those of the manifest, which include the base.

    Seconds and details stay those of the version itself.
    """
    documents = manifest.documents_in
    whole = []
    for report in sorted(stages, key=lambda report: _KNOWN_ORDER.get(report.stage, len(_KNOWN_ORDER))):
        dropped = dict(manifest.dropped.get(report.stage, {}))
        left = documents - sum(dropped.values())
        whole.append(replace(report, documents_in=documents, documents_out=left, dropped=dropped))
        documents = left
    return whole


def funnel(stages: Sequence[StageReport], manifest: CorpusManifest) -> Funnel:
    """Build the funnel. Raises ContractError if a stage's input is not the output of the stage before."""
    documents, before = manifest.documents_in, "the manifest"
    for report in stages:
        if report.documents_in != documents:
            raise ContractError(
                "stages do not add up",
                where=f"corpus {manifest.version}, stage {report.stage}",
                expected=f"{documents} documents in, from {before}",
                got=str(report.documents_in),
                remedy="build this version again: its stage reports are of different runs",
            )
        documents, before = report.documents_out, f"stage {report.stage}"
    dropped = {report.stage: report.dropped for report in stages if report.dropped}
    if documents != manifest.documents_kept or dropped != manifest.dropped:
        raise ContractError(
            "the stage reports do not add up to the manifest",
            where=f"corpus {manifest.version}",
            expected=f"{manifest.documents_kept} kept and {manifest.dropped} dropped",
            got=f"{documents} kept and {dropped} dropped",
            remedy="build this version again: its stage reports are of different runs",
        )
    return Funnel(tuple(stages), manifest.documents_in, documents, manifest.documents_held_out)
