"""Held-out loss of a candidate, against the champion or against token frequencies.

python -m training.evaluate --model s3://…/model/manifest.json --corpus s3://…/manifest.json \
    --output s3://…/report.json [--champion s3://…/model/manifest.json]

Each argument that names a manifest has a companion ``…-sha256``: a manifest with another hash is refused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from include.contracts.errors import NexusError
from include.contracts.evaluation import EvaluationReport, ModelScores
from include.contracts.manifests import CorpusManifest, ParentRef
from include.object_store import STORE, Folder
from include.object_store.locations import split
from training.held_out import HeldOut, fetch_held_out
from training.model_store import fetch_model
from training.scoring import score_model, score_unigrams
from training.unigrams import count_tokens


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate by the command line. Return 0 if the report is written, 1 with a readable error."""
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    for name in ("model", "corpus", "champion"):
        parser.add_argument(f"--{name}", default="", required=name != "champion", help="URI of a manifest")
        parser.add_argument(f"--{name}-sha256", default="", help="SHA-256 of that manifest")
    parser.add_argument("--output", required=True, help="URI of the report")
    parser.add_argument(
        "--max-document-tokens", type=int, default=1024, help="score at most the first so many of a document"
    )
    arguments = parser.parse_args(argv)
    try:
        report = evaluate(
            ParentRef(arguments.model, arguments.model_sha256),
            ParentRef(arguments.corpus, arguments.corpus_sha256),
            ParentRef(arguments.champion, arguments.champion_sha256) if arguments.champion else None,
            arguments.max_document_tokens,
        )
        STORE.write_record(arguments.output, report)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for scores in (report.candidate, report.baseline):
        for subset, score in sorted(scores.subsets.items()):
            print(f"{scores.name} {subset}: loss={score.loss_nats_per_token:.4f} nats per token", flush=True)
    return 0


def evaluate(
    model: ParentRef, corpus: ParentRef, champion: ParentRef | None, max_document_tokens: int
) -> EvaluationReport:
    """Score candidate and baseline on the same held-out documents."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evaluate-") as scratch:
        base = Path(scratch)
        manifest, corpus_ref = STORE.referenced_record(CorpusManifest, corpus.uri, corpus.sha256)
        candidate, model_ref = fetch_model(model.uri, base / "candidate", sha256=model.sha256)
        folder = Folder(split(corpus.uri)[0])
        held_out = fetch_held_out(folder, manifest, base / "held_out", max_document_tokens)
        scores = score_model(candidate.run, base / "candidate", held_out, candidate.context_length)
        if champion:
            baseline, champion = _champion(champion, base / "champion", held_out)
        else:
            baseline = score_unigrams(count_tokens(folder, manifest, base / "counting"), held_out)
    return EvaluationReport(
        candidate=scores,
        baseline=baseline,
        baseline_is_champion=champion is not None,
        document_ids={name: tuple(d.id for d in held_out.subsets[name]) for name in held_out.subsets},
        document_tokens={
            name: tuple(len(d.tokens) for d in held_out.subsets[name]) for name in held_out.subsets
        },
        model=model_ref,
        corpus=corpus_ref,
        seconds=time.monotonic() - started,
        champion=champion,
    )


def _champion(champion: ParentRef, target: Path, held_out: HeldOut) -> tuple[ModelScores, ParentRef]:
    manifest, found = fetch_model(champion.uri, target, sha256=champion.sha256)
    return score_model(manifest.run, target, held_out, manifest.context_length), found


if __name__ == "__main__":
    raise SystemExit(main())
