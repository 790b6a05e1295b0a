"""The layout of S3: URIs, and the table of keys that all runtimes share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from include.contracts.errors import ContractError
from include.contracts.records import NOT_PORTABLE

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_KEY = 1024


@dataclass(frozen=True, order=True)
class S3Uri:
    """``s3://bucket/key``; a key that ends in '/' names a prefix."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Uri:
        match = re.fullmatch(r"s3://([^/]+)/?(.*)", uri, re.DOTALL)
        if not match or not _BUCKET.fullmatch(match[1]):
            raise ContractError("not an S3 URI", where=repr(uri), expected="s3://bucket/key")
        if ".." in match[2].split("/"):
            raise ContractError("'..' is not allowed in a key", where=repr(uri))
        if NOT_PORTABLE.search(match[2]) or len(match[2].encode()) > _LONGEST_KEY:
            expected = f"a key of at most {_LONGEST_KEY} bytes of UTF-8, none of them zero"
            raise ContractError("not a key of S3", where=repr(uri[:_LONGEST_KEY]), expected=expected)
        return cls(match[1], match[2])

    def __truediv__(self, name: str) -> S3Uri:
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def folder(self) -> S3Uri:
        """The prefix of the keys below this one: ends in '/', so that ``pile`` does not match ``pile2/``."""
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/".lstrip("/"))


#: Prefixes of the raw bucket that hold no corpus inputs, whatever their keys look like.
CONTROL_PREFIXES = ("_ingestion/", "quarantine/")
#: The suffix that a note's key adds to that of its shard. No shard may have a name that ends like this.
NOTE_SUFFIX = ".why.json"


@dataclass(frozen=True)
class IngestionLayout:
    """The keys of source_ingestion in the raw bucket, all of them outside of the prefixes of raw shards."""

    bucket: str

    def batch(self, run: str, index: int) -> S3Uri:
        """Return the key of a BatchRequest, which the plan writes."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[0]}runs/{run}/batches/{index:04d}.json")

    def reports(self, run: str) -> S3Uri:
        """Return the prefix of all reports of a run."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[0]}runs/{run}/reports/")

    def report(self, run: str, index: int) -> S3Uri:
        """Return the key of the BatchReport of the newest try."""
        return self.reports(run) / f"{index:04d}.json"

    def manifest(self, run: str) -> S3Uri:
        """Return the key of the IngestionManifest of a run."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[0]}runs/{run}/manifest.json")

    def announced(self, environment: str, target: S3Uri) -> S3Uri:
        """Return the key of the AnnouncedShards of a target prefix for one Airflow environment."""
        key = f"{CONTROL_PREFIXES[0]}announced/{environment}/{target.folder.key}shards.json"
        return S3Uri(self.bucket, key)

    def staged(self, target: S3Uri) -> S3Uri:
        """Return the key at which a shard is assembled. It is copied to ``target`` after its verification."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[0]}staging/{target.key}")

    def upload_record(self, target: S3Uri) -> S3Uri:
        """Return the key of the record that names the source version of an unfinished upload."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[0]}progress/{target.key}.json")

    def quarantine(self, source: str, name: str) -> S3Uri:
        """Return the key of a shard that differs from its published checksum. Its note is next to it."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[1]}{source}/{name}")

    def note(self, source: str, name: str) -> S3Uri:
        """Return the key of the QuarantineNote of a shard."""
        return S3Uri(self.bucket, f"{CONTROL_PREFIXES[1]}{source}/{name}{NOTE_SUFFIX}")


@dataclass(frozen=True)
class CorpusLayout:
    """The keys of one corpus version, under ``s3://<processed>/corpus/<version>/``."""

    root: S3Uri

    @classmethod
    def of(cls, processed_bucket: str, version: str) -> CorpusLayout:
        return cls(S3Uri(processed_bucket, f"corpus/{version}/"))

    @property
    def request(self) -> S3Uri:
        """CorpusRequest: inputs and recipe, written by the DAG before the cluster starts."""
        return self.root / "request.json"

    @property
    def stages(self) -> S3Uri:
        """One ``<stage>.json`` (StageReport) per completed stage."""
        return self.root / "stages/"

    def stage_report(self, stage: str) -> S3Uri:
        """Return the key of the StageReport of a completed stage."""
        return self.stages / f"{stage}.json"

    @property
    def work(self) -> S3Uri:
        """The prefix of the intermediate parquet files between stages."""
        return self.root / "work/"

    def error(self, job: str) -> S3Uri:
        """Return the key of the JobError of a Spark job's newest run. Engines themselves report little."""
        return self.work / f"{job}.error.json"

    @property
    def documents(self) -> S3Uri:
        return self.root / "documents/"

    @property
    def held_out(self) -> S3Uri:
        return self.root / "held_out/"

    @property
    def duplicates(self) -> S3Uri:
        return self.root / "duplicates/"

    @property
    def index(self) -> S3Uri:
        """Signatures of the kept documents, with which a later version compares its new documents."""
        return self.root / "index/"

    @property
    def tokens(self) -> S3Uri:
        """Megatron ``.bin`` / ``.idx`` pairs and sidecars."""
        return self.root / "tokens/"

    @property
    def held_out_tokens(self) -> S3Uri:
        return self.root / "held_out_tokens/"

    @property
    def tokenizer(self) -> S3Uri:
        return self.root / "tokenizer/"

    @property
    def report(self) -> S3Uri:
        """The report in HTML. The version is complete without it."""
        return self.root / "report.html"

    @property
    def claim(self) -> S3Uri:
        """The claim of the run that builds the version."""
        return self.root / "claim.json"

    def announced(self, environment: str) -> S3Uri:
        """Return the key of the Announcement to the downstream DAGs of an Airflow environment."""
        return self.root / f"announced/{environment}.json"

    @property
    def manifest(self) -> S3Uri:
        """CorpusManifest, written last: the version exists when this does."""
        return self.root / "manifest.json"


@dataclass(frozen=True)
class RunLayout:
    """The keys of one training run, under ``s3://<models>/runs/<run>/``."""

    root: S3Uri

    @classmethod
    def of(cls, models_bucket: str, run: str) -> RunLayout:
        return cls(S3Uri(models_bucket, f"runs/{run}/"))

    @property
    def request(self) -> S3Uri:
        """TrainingRequest, written by the DAG."""
        return self.root / "training_request.json"

    @property
    def checkpoints(self) -> S3Uri:
        """The checkpoints, one ``step_<n>/`` each, of which the marker is written last.

        Only the trainer reads and writes them.
        """
        return self.root / "checkpoints/"

    @property
    def cache(self) -> S3Uri:
        """The target of SageMaker's own checkpoint sync. It is never read."""
        return self.root / "cache/"

    @property
    def output(self) -> S3Uri:
        """The prefix for SageMaker's OutputDataConfig."""
        return self.root / "output/"

    @property
    def model(self) -> S3Uri:
        """The candidate: safetensors, config and tokenizer; ``manifest.json`` is written last."""
        return self.root / "model/"

    @property
    def serving_models(self) -> S3Uri:
        """Return the candidate in the format of the server: one folder per conversion, manifest last.

        A conversion is never overwritten, because a revision may be serving it.
        """
        return self.root / "serving_models/"

    @property
    def training_report(self) -> S3Uri:
        return self.root / "training_report.json"

    @property
    def evaluations(self) -> S3Uri:
        """``<evaluation>/report.json`` (EvaluationReport) and ``<evaluation>/verdict.json``."""
        return self.root / "evaluations/"
