"""What each stage took away, by reason, out of the stage reports; and that it all adds up."""

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
class Loss:
    """Documents that a stage dropped for one reason."""

    stage: str
    reason: str
    documents: int


@dataclass(frozen=True)
class Funnel:
    """Stage reports in their order; each stage takes in what the one before passed on."""

    stages: tuple[StageReport, ...]
    documents_in: int
    documents_kept: int
    documents_held_out: int

    @property
    def losses(self) -> list[Loss]:
        """All losses, the largest first."""
        losses = [
            Loss(report.stage, reason, count)
            for report in self.stages
            for reason, count in report.dropped.items()
        ]
        return sorted(losses, key=lambda loss: (-loss.documents, loss.stage, loss.reason))

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(report.seconds for report in self.stages)


def read_stages(layout: VersionLayout) -> list[StageReport]:
    """Every report of the folder ``stages/``, also of stages that this code does not know, in order."""
    uris = [uri for uri in STORE.uris(join(layout.root, "stages")) if uri.endswith(".json")]
    reports = [STORE.read_record(StageReport, uri) for uri in uris]
    # what goes in only falls, so it orders any chain of stages; the known order decides between equals
    return sorted(
        reports,
        key=lambda r: (-r.documents_in, -r.documents_out, _KNOWN_ORDER.get(r.stage, len(_KNOWN_ORDER))),
    )


def of_the_whole(stages: Sequence[StageReport], manifest: CorpusManifest) -> list[StageReport]:
    """The counts of a version and its base, by the manifest; seconds and details are the version's own."""
    documents = manifest.documents_in
    whole = []
    for report in sorted(stages, key=lambda report: _KNOWN_ORDER.get(report.stage, len(_KNOWN_ORDER))):
        dropped = dict(manifest.dropped.get(report.stage, {}))
        left = documents - sum(dropped.values())
        whole.append(replace(report, documents_in=documents, documents_out=left, dropped=dropped))
        documents = left
    return whole


def funnel(stages: Sequence[StageReport], manifest: CorpusManifest) -> Funnel:
    """The funnel; ContractError where a stage takes in other than what the one before passed on."""
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
            "the stages are not those that the manifest sums up",
            where=f"corpus {manifest.version}",
            expected=f"{manifest.documents_kept} kept and {manifest.dropped} dropped",
            got=f"{documents} and {dropped}",
            remedy="build this version again: its stage reports are of different runs",
        )
    return Funnel(tuple(stages), manifest.documents_in, documents, manifest.documents_held_out)
