"""The HTML page about a corpus version. Every text from a document is escaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from include.contracts.documents import Stage
from include.contracts.errors import InputError
from include.contracts.manifests import CorpusManifest, CorpusRequest, StageReport
from include.object_store import STORE
from include.object_store.locations import join
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.report import wording
from spark_jobs.report.bars import Scale
from spark_jobs.report.charts import Panel, length_panels, similarity_histogram
from spark_jobs.report.duplicates import Duplicates, duplicates
from spark_jobs.report.funnel import Funnel, funnel, of_the_whole, read_stages
from spark_jobs.report.lengths import Characters, Lengths, characters, together, tokens
from spark_jobs.report.samples import SHOWN_CHARACTERS, contamination, dropped_examples
from spark_jobs.runtime.parquet import documents_by_id

_PANELS = 6


@dataclass(frozen=True)
class SubsetRow:
    """A row of the table of subsets. ``characters_per_token`` is None if none of its texts was read."""

    name: str
    documents: int
    held_out: int
    tokens: int
    text_bytes: int
    characters_per_token: float | None


def write_report(layout: VersionLayout) -> str:
    """Write ``report.html`` of a complete corpus version and return its URI."""
    manifest = layout.load_manifest()
    if manifest is None:
        raise InputError(
            "no complete corpus version",
            where=layout.root,
            expected="a folder with manifest.json",
            remedy="run build_corpus until it has written the manifest",
        )
    return write_page(layout, manifest)


def write_page(layout: VersionLayout, manifest: CorpusManifest) -> str:
    """Write ``report.html`` of the version that the manifest describes and return its URI."""
    uri = layout.report_page
    # a JSON example may contain a lone surrogate, which has no UTF-8 encoding
    STORE.write(uri, _page(layout, manifest).encode("utf-8", "replace"))
    return uri


def _page(layout: VersionLayout, manifest: CorpusManifest) -> str:
    request = STORE.read_record(CorpusRequest, join(layout.root, "request.json"))
    stages = read_stages(layout)
    flow = funnel(of_the_whole(stages, manifest) if request.base else stages, manifest)
    read = characters(layout)
    lengths = tokens(layout, manifest)
    odds = even_odds(request.recipe)
    found = duplicates(layout, odds or 0.0)
    rows = subset_rows(manifest, read)
    compared = bool(request.recipe.get("decontaminate", {}).get("benchmarks"))
    contaminated = next(
        (r for r in flow.stages if r.stage == "decontaminate" and (compared or r.dropped)), None
    )
    benchmarks = contamination(contaminated) if contaminated else {}
    return _environment().from_string(_packaged("page.html")).render(
        css=Markup(_packaged("page.css")),
        root=layout.root,
        manifest=manifest,
        base=request.base,
        shards_added=len(request.inputs),
        funnel=flow,
        bytes_in=_bytes_in(flow, request),
        text_bytes=sum(subset.text_bytes for subset in manifest.subsets.values()),
        subsets=rows,
        all_scale=Scale(0, max(1, manifest.documents_in), logarithmic=False),
        token_scale=Scale.of([row.tokens for row in rows]),
        byte_scale=Scale.of([row.text_bytes for row in rows]),
        charts=_charts(rows, read, lengths, found, request),
        quantiles=_quantiles(rows, read, lengths),
        read=read,
        duplicates=found,
        even_odds=odds,
        verified=verified(request.recipe),
        unsettled=_near_dedup_count(stages, "documents_unsettled"),
        not_compared=_near_dedup_count(stages, "documents_not_compared"),
        tokenised=_tokenised(stages),
        kept=documents_by_id(layout, [cluster.kept_id for cluster in found.clusters]),
        examples=dropped_examples(layout),
        repaired=_repaired(stages),
        contaminated=contaminated,
        benchmarks=benchmarks,
        benchmark_scale=Scale(0, max(benchmarks.values(), default=1), logarithmic=False),
        scrubs=bool(request.recipe.get("scrub", {}).get("enabled")),
        scrubbed_scale=Scale(0, max(manifest.scrubbed.values(), default=1), logarithmic=False),
        recipe=json.dumps(request.recipe, indent=2, sort_keys=True, ensure_ascii=False),
        trace=_trace_command(layout, manifest),
        shown_characters=SHOWN_CHARACTERS,
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,  # for templates of every name, since texts of documents may contain HTML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=wording.count,
        short=wording.short_count,
        size=wording.size,
        duration=wording.duration,
        cut=wording.cut,
        excerpt=lambda text: wording.excerpt(text, SHOWN_CHARACTERS),
        json=lambda value: json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False),
    )
    environment.globals.update(share=wording.share, plural=wording.plural)
    return environment


def _packaged(name: str) -> str:
    """Read a file of this package, which may be in a folder or in a zip file."""
    return files("spark_jobs.report").joinpath(name).read_text("utf-8")


def subset_rows(manifest: CorpusManifest, read: Characters) -> list[SubsetRow]:
    """Return the rows of the table of subsets, those with the most tokens first."""
    rows = []
    for name, counts in manifest.subsets.items():
        ratio = None
        if counts.tokens and (sampled := read.text_bytes.get(name)):
            # exact if all texts were read, otherwise scaled up by the bytes, which are known for all
            ratio = read.lengths[name].total / sampled * counts.text_bytes / counts.tokens
        row = SubsetRow(
            name, counts.documents, counts.documents_held_out, counts.tokens, counts.text_bytes, ratio
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (-row.tokens, row.name))


def even_odds(recipe: Mapping[str, Any]) -> float | None:
    """Return the similarity at which MinHash LSH finds half of the pairs; None without bands and rows."""
    near = recipe.get("near_dedup", {})
    if not near.get("bands") or not near.get("rows"):
        return None
    return float((1 - 0.5 ** (1 / near["bands"])) ** (1 / near["rows"]))


def verified(recipe: Mapping[str, Any]) -> float | None:
    """Return the minimum similarity of a near duplicate; None if the recipe does not verify pairs."""
    near = recipe.get("near_dedup", {})
    return float(near["threshold"]) if near.get("verify") else None


def _near_dedup_count(stages: Sequence[StageReport], name: str) -> int:
    """Return a count among the details of near dedup, or 0 if its report has none."""
    near = next((report for report in stages if report.stage == Stage.NEAR_DEDUP), None)
    return int(near.details.get(name, 0)) if near else 0


def _tokenised(stages: Sequence[StageReport]) -> dict[str, Any]:
    """Return the details of tokenise that the page shows; reports of earlier versions lack some."""
    report = next((report for report in stages if report.stage == Stage.TOKENISE), None)
    counts = {"characters": 0, "characters_unknown": 0, "characters_without_token": 0}
    return {**counts, "tokenizer_notes": [], **(report.details if report else {})}


def _repaired(stages: Sequence[StageReport]) -> dict[str, int]:
    """Return how many documents that were read had a value repaired, by reason, the most first."""
    read = next((report for report in stages if report.stage == Stage.READ), None)
    found: dict[str, int] = read.details.get("repaired", {}) if read else {}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _bytes_in(flow: Funnel, request: CorpusRequest) -> int:
    read = next((report for report in flow.stages if report.stage == Stage.READ), None)
    own = sum(shard.size_bytes for shard in request.inputs)
    of_base = sum(shard.size_bytes for group in request.earlier_inputs for shard in group)
    return of_base + (int(read.details.get("bytes", own)) if read else own)


def _charts(
    rows: list[SubsetRow],
    read: Characters,
    lengths: dict[str, Lengths],
    found: Duplicates,
    request: CorpusRequest,
) -> dict[str, Markup]:
    charts = {}
    kinds = (("characters", read.lengths), ("tokens", lengths))
    both = [
        Panel("all subsets", together(of).shares(), together(of).quantile(0.5), u) for u, of in kinds if of
    ]
    if both:
        charts["all"] = length_panels(both, 2, "Lengths of all documents in characters and tokens")
    for unit, of in kinds:
        named = [row.name for row in rows if row.name in of][:_PANELS]
        if len(named) > 1:
            behind = together(of).shares()
            panels = [Panel(name, of[name].shares(), of[name].quantile(0.5), unit, behind) for name in named]
            charts[unit] = length_panels(panels, 3, f"Lengths of documents in {unit} by subset")
    if found.near:
        odds = even_odds(request.recipe)
        charts["similarity"] = similarity_histogram(
            found.similarities, odds, "Similarities of near duplicates"
        )
    return charts


def _quantiles(
    rows: list[SubsetRow], read: Characters, lengths: dict[str, Lengths]
) -> list[tuple[str, list[Lengths | None]]]:
    """Return the lengths in characters and tokens of all documents and of the subsets in the charts."""
    table: list[tuple[str, list[Lengths | None]]] = []
    if read.lengths and lengths:
        table.append(("all subsets", [together(read.lengths), together(lengths)]))
    for row in [row for row in rows if row.tokens][:_PANELS]:
        table.append((row.name, [read.lengths.get(row.name), lengths.get(row.name)]))
    return table


def _trace_command(layout: VersionLayout, manifest: CorpusManifest) -> str:
    shard = manifest.shards[0] if manifest.shards else manifest.held_out_shards[0]
    folder = layout.tokens if manifest.shards else layout.held_out_tokens
    return f"make trace TOKENS={shlex.quote(f'{join(folder, shard.name)}:{shard.tokens // 2}')}"
