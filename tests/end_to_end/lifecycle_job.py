"""A training job for the lifecycle tests: runs until an object asks it to finish, then writes a model.

python -m tests.end_to_end.lifecycle_job --root s3://bucket/runs/<run>/
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import boto3

from include.contracts.manifests import ModelManifest, ParentRef, TrainingReport
from include.contracts.records import canonical_json
from include.contracts.storage import RunLayout, S3Uri


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    layout = RunLayout(S3Uri.parse(parser.parse_args(argv).root))
    s3 = boto3.client("s3")
    told = layout.root / "finish"
    while "Contents" not in s3.list_objects_v2(Bucket=told.bucket, Prefix=told.key):
        time.sleep(0.2)
    nothing = ParentRef("s3://nowhere/manifest.json", "0" * 64)
    model = ModelManifest("safetensors", "lifecycle", 1, nothing, nothing, 1, 8, ())
    report = TrainingReport("lifecycle", 1, (), 1.0, 0.5, 1, 0.1)
    for uri, record in ((layout.training_report, report), (layout.model / "manifest.json", model)):
        s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=canonical_json(record))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
