"""Measures the held-out loss of a candidate, the champion and the anchor, or of token frequencies.

python -m training.evaluate --model s3://…/model/manifest.json --corpus s3://…/manifest.json \
    --output s3://…/report.json [--champion s3://…/model/manifest.json [--anchor s3://…/model/manifest.json]]

Each argument that names a manifest has a second one, ``…-sha256``. A manifest with another hash is refused.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from include.contracts.errors import NexusError
from include.contracts.evaluation import EvaluationReport, ModelScores, SubsetScore
from include.contracts.manifests import CorpusManifest, ParentRef
from include.object_store import STORE, Folder
from include.object_store.locations import split
from training.held_out import HeldOut, fetch_held_out
from training.model_store import fetch_model
from training.scoring import score_model, score_unigrams
from training.unigrams import count_tokens


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Return 0 if the report is written, or 1 after printing an error."""
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    for name in ("model", "corpus", "champion", "anchor"):
        required = name in ("model", "corpus")
        parser.add_argument(f"--{name}", default="", required=required, help="URI of a manifest")
        parser.add_argument(f"--{name}-sha256", default="", help="SHA-256 of that manifest")
    parser.add_argument("--output", required=True, help="URI of the report")
    parser.add_argument(
        "--max-document-tokens",
        type=int,
        default=0,
        help="truncate documents to this number of tokens (0: score all)",
    )
    arguments = parser.parse_args(argv)
    if arguments.max_document_tokens < 0:
        parser.error("--max-document-tokens: expected a whole number of at least 0")

    def reference(name: str) -> ParentRef | None:
        uri: str = getattr(arguments, name)
        return ParentRef(uri, getattr(arguments, f"{name}_sha256")) if uri else None

    try:
        report = evaluate(
            ParentRef(arguments.model, arguments.model_sha256),
            ParentRef(arguments.corpus, arguments.corpus_sha256),
            reference("champion"),
            reference("anchor"),
            arguments.max_document_tokens,
        )
        STORE.write_record(arguments.output, report)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for scores in filter(None, (report.candidate, report.baseline, report.anchor_scores)):
        for subset, score in sorted(scores.subsets.items()):
            print(f"{scores.name} {subset}: {_line(score)}", flush=True)
    return 0


def _line(score: SubsetScore) -> str:
    text = f"loss={score.loss_nats_per_token:.4f} nats per token"
    if score.long_documents:
        loss = f"{score.long_loss_nats_per_token:.4f}"
        text += f"; {score.long_documents} documents longer than the context: {loss}"
    return text


def evaluate(
    model: ParentRef,
    corpus: ParentRef,
    champion: ParentRef | None,
    anchor: ParentRef | None,
    max_document_tokens: int,
) -> EvaluationReport:
    """Score the candidate and the models for comparison on the same held-out documents."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evaluate-") as scratch:
        base = Path(scratch)
        manifest, corpus_ref = STORE.referenced_record(CorpusManifest, corpus.uri, corpus.sha256)
        folder = Folder(split(corpus.uri)[0])
        held_out = fetch_held_out(folder, manifest, base / "held_out", max_document_tokens)
        scores, model_ref = _score(model, base / "candidate", held_out)
        anchor_scores = None
        if champion:
            baseline, champion = _score(champion, base / "champion", held_out)
            if anchor and anchor.uri == champion.uri:
                anchor = champion
            elif anchor:
                anchor_scores, anchor = _score(anchor, base / "anchor", held_out)
        else:
            anchor = None
            baseline = score_unigrams(count_tokens(folder, manifest, base / "counting"), held_out)
    subsets = held_out.subsets.items()
    return EvaluationReport(
        candidate=scores,
        baseline=baseline,
        baseline_is_champion=champion is not None,
        document_ids={name: tuple(document.id for document in found) for name, found in subsets},
        document_tokens={name: tuple(len(document.tokens) for document in found) for name, found in subsets},
        model=model_ref,
        corpus=corpus_ref,
        seconds=time.monotonic() - started,
        champion=champion,
        anchor=anchor,
        anchor_scores=anchor_scores,
    )


def _score(model: ParentRef, target: Path, held_out: HeldOut) -> tuple[ModelScores, ParentRef]:
    """Fetch and score a model, then delete its files: up to three models need the disk in turn."""
    manifest, found = fetch_model(model.uri, target, sha256=model.sha256)
    scores = score_model(manifest.run, target, held_out, manifest.context_length)
    shutil.rmtree(target)
    return scores, found


if __name__ == "__main__":
    raise SystemExit(main())
