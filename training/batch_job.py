"""Entry point of the training container on AWS Batch: gets the channels that SageMaker would bring.

    python -m training.batch_job --request s3://nexus-llm-models/runs/<run>/training_request.json

Then it runs the same launcher as a SageMaker job, with its exit codes. Exit code 1 also means that an input
is missing or damaged. A signal before the launcher starts ends the process with 143, since nothing is lost.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from include.contracts.errors import NexusError
from include.object_store import Folder
from training.job_inputs import MlRoot, TrainingJob, read_training_job
from training.launcher import main as launch

#: Folders of a corpus that the channels of the same names hold.
CORPUS_CHANNELS = ("tokens", "tokenizer")


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch the channels of the request and run the launcher. Return the exit code."""
    parser = argparse.ArgumentParser(prog="training.batch_job", description=__doc__)
    parser.add_argument("--request", required=True, help="URI of the TrainingRequest")
    uri: str = parser.parse_args(argv).request
    try:
        fetched = fetch_channels(read_training_job(uri), MlRoot.from_environment())
    except NexusError as error:
        print(f"batch_job: failed: {error}", file=sys.stderr, flush=True)
        return 1
    print(f"batch_job: fetched {fetched} bytes", flush=True)
    return launch(["--request", uri])


def fetch_channels(job: TrainingJob, root: MlRoot) -> int:
    """Download what the channels hold, and return its size in bytes.

    Raises IntegrityError if a file of the corpus differs from the manifest.
    """
    corpus, target = Folder(job.corpus.root_uri), root.path / "input" / "data"
    entries = [entry for entry in job.corpus.files if entry.path.split("/")[0] in CORPUS_CHANNELS]
    for entry in entries:
        corpus.fetch(entry, target / entry.path)
    size = sum(entry.size_bytes for entry in entries)
    if not job.request.base_model_uri:
        return size
    # a base model from elsewhere has no manifest here, and its reader checks it
    base = Folder(job.request.base_model_uri)
    sizes = base.sizes()
    for name in sizes:
        base.download(name, target / "base_model" / name)
    return size + sum(sizes.values())


if __name__ == "__main__":
    raise SystemExit(main())
