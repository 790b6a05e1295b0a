"""The Model Registry: candidates, verdicts on them, and the champion.

The champion is the model that was approved or rolled back to last. The registry records when a package was
created and changed, but not the order of approvals. So this order is kept in a record in S3 (docs/adr/0015).
The registry cannot be searched for a manifest either, so the package of each manifest is recorded too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import client
from include.contracts.errors import InputError
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import canonical_json
from include.contracts.storage import S3Uri
from include.object_store import ConditionFailed, ObjectStore
from include.settings import Settings

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
#: SageMaker's limit for the reason of an approval or a rejection.
DESCRIPTION_LIMIT = 1024
_PAGE = 100
_WRITE_TRIES = 10
#: The largest difference between the clocks of S3 and SageMaker that is expected.
_CLOCK_TOLERANCE = timedelta(minutes=10)
#: The word before a manifest's hash at the end of a package's description.
_MARK = "manifest"
#: SageMaker's answers for a group that does not exist.
_NO_GROUP = ("ValidationException", "ResourceNotFound")


@dataclass(frozen=True)
class ModelPackage:
    """A registered model: its manifest, its status with the reason, and when it was changed last."""

    arn: str
    manifest: ParentRef
    run: str
    status: str
    modified: datetime = datetime.min
    reason: str = ""


@dataclass(frozen=True)
class Registration:
    """The record of the package of a manifest. If the package does not exist, the record does not count."""

    package_arn: str


@dataclass(frozen=True)
class Approvals:
    """ARNs of packages in the order in which they were approved or rolled back to; the champion is last.

    ``anchors`` maps a package to the best model that had been approved when it was approved itself.
    """

    order: tuple[str, ...] = ()
    anchors: dict[str, str] = field(default_factory=dict)


def package_request(
    settings: Settings, model: ModelManifest, manifest: ParentRef, metadata: dict[str, str]
) -> dict[str, Any]:
    """Build CreateModelPackage, pending: the manifest's URI and hash are the identity of the model."""
    return {
        "ModelPackageGroupName": settings.package_group,
        "ModelPackageDescription": (
            f"run {model.run}, step {model.step}, {model.parameters} parameters, {_mark(manifest)}"
        ),
        "ModelApprovalStatus": PENDING,
        "InferenceSpecification": {
            "Containers": [
                {"Image": settings.images.serving, "ModelDataUrl": manifest.uri.rpartition("/")[0] + "/"}
            ],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json", "text/event-stream"],
        },
        "CustomerMetadataProperties": {
            "manifest_uri": manifest.uri,
            "manifest_sha256": manifest.sha256,
            "corpus_uri": model.corpus.uri,
            "corpus_sha256": model.corpus.sha256,
            "run": model.run,
            **metadata,
        },
    }


class ModelRegistry:
    """The package group of this environment."""

    def __init__(self, settings: Settings, sagemaker: Any = None) -> None:
        self._settings = settings
        self._sagemaker = sagemaker or client("sagemaker")

    def champion(self) -> ModelPackage | None:
        """Return the model that was approved or rolled back to last, or None before the first approval.

        A package that was approved in the console counts as newer than those of the record.
        """
        order = self.approval_order()
        return self.package(order[-1]) if order else None

    def approval_order(self) -> list[str]:
        """Return the ARNs of the approved packages, the champion last."""
        approved = [summary["ModelPackageArn"] for summary in self._summaries(ModelApprovalStatus=APPROVED)]
        known = [arn for arn in self._approvals().order if arn in approved]
        described = (self.package(arn) for arn in approved if arn not in known)
        by_hand = [(package.modified, package.arn) for package in described if package]
        return known + [arn for _, arn in sorted(by_hand)]

    def anchor(self, champion: ModelPackage) -> ModelPackage:
        """Return the best model approved so far, or the champion if the record has no better one.

        If a person approves a model in the console, or rejects the anchor there, the champion becomes the
        anchor.
        """
        arn = self._approvals().anchors.get(champion.arn, champion.arn)
        found = champion if arn == champion.arn else self.package(arn)
        return found if found is not None and found.status == APPROVED else champion

    def is_noted(self, arn: str) -> bool:
        """Return True if the record has a place for this package, so that it need not be described."""
        return arn in self._approvals().order

    def note_champion(self, arn: str, anchor_arn: str = "") -> None:
        """Record an approved package as the champion, because it was approved or rolled back to.

        ``anchor_arn`` is the best model approved so far. Without it, the package keeps its recorded anchor.
        """
        uri = self._approvals_uri
        for _ in range(_WRITE_TRIES):
            found = ObjectStore().find(uri)
            order = [other for other in self.approval_order() if other != arn]
            anchors = self._approvals().anchors | ({arn: anchor_arn} if anchor_arn else {})
            content = canonical_json(Approvals((*order, arn), anchors))
            try:
                if found is None:
                    ObjectStore().create(uri, content)
                else:
                    ObjectStore().replace(uri, content, found.etag)
            except ConditionFailed:
                continue  # another run has recorded a champion in the meantime, which comes first
            return
        raise ConditionFailed("the record of approvals keeps changing", where=str(uri))

    def newest_candidate(self) -> ModelPackage | None:
        """Return the newest package without a verdict."""
        ours = (summary for summary in self._summaries(ModelApprovalStatus=PENDING) if _is_marked(summary))
        packages = (self.package(summary["ModelPackageArn"]) for summary in ours)
        return next((package for package in packages if package), None)

    def find(self, manifest: ParentRef) -> ModelPackage | None:
        """Return the package of exactly this manifest, by its record or else by its description."""
        packages = map(self.package, chain(self._recorded(manifest), self._listed(manifest)))
        return next((found for found in packages if found and found.manifest == manifest), None)

    def package(self, arn: str) -> ModelPackage | None:
        """Describe a package. Return None if it does not exist, or was not registered by this project."""
        try:
            found = self._sagemaker.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        metadata = found.get("CustomerMetadataProperties", {})
        if "manifest_uri" not in metadata:
            return None
        manifest = ParentRef(metadata["manifest_uri"], metadata.get("manifest_sha256", ""))
        modified = found.get("LastModifiedTime") or found["CreationTime"]
        status = found.get("ModelApprovalStatus", "")
        reason = found.get("ApprovalDescription", "")
        return ModelPackage(arn, manifest, metadata.get("run", ""), status, modified, reason)

    def require_approved(self, manifest: ParentRef) -> ModelPackage:
        """Return the approved package of this manifest. Raises InputError if there is none."""
        package = self.find(manifest)
        if package is None or package.status != APPROVED:
            found = f"{package.arn} is {package.status}" if package else "no package of this manifest"
            raise InputError(
                "this model is not approved",
                where=manifest.uri,
                expected=f"a model package in state {APPROVED}",
                got=found,
                remedy="let model_evaluation judge it, or approve the package in the registry",
            )
        return package

    def register(self, model: ModelManifest, manifest: ParentRef, metadata: dict[str, str]) -> ModelPackage:
        """Register a candidate. A manifest is registered only once, even if a retry registers it again.

        The record comes last: after an interruption in between, the package is found by its description.
        """
        known = self.find(manifest)
        if known:
            return known
        request = package_request(self._settings, model, manifest, metadata)
        try:
            created = self._sagemaker.create_model_package(**request)
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            self._sagemaker.create_model_package_group(ModelPackageGroupName=self._settings.package_group)
            created = self._sagemaker.create_model_package(**request)
        package = ModelPackage(created["ModelPackageArn"], manifest, model.run, PENDING)
        ObjectStore().write_record(self._registration_uri(manifest), Registration(package.arn))
        return package

    def set_status(self, arn: str, status: str, reason: str) -> None:
        """Approve or reject a package, with the reason for readers of the registry."""
        self._sagemaker.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=reason[:DESCRIPTION_LIMIT]
        )

    def supersede(self, arn: str, by: str) -> bool:
        """Reject a candidate that a newer one has superseded. Return False if it has a verdict already."""
        package = self.package(arn)
        if package is None or package.status != PENDING:
            return False
        how = f"to judge it, trigger model_evaluation with manifest_uri {package.manifest.uri}"
        self.set_status(arn, REJECTED, f"not judged: superseded by {by}; {how}")
        return True

    @property
    def _approvals_uri(self) -> S3Uri:
        key = f"registry/{self._settings.package_group}/approvals.json"
        return S3Uri(self._settings.storage.models_bucket, key)

    def _approvals(self) -> Approvals:
        store, uri = ObjectStore(), self._approvals_uri
        return store.read_record(Approvals, uri) if store.exists(uri) else Approvals()

    def _registration_uri(self, manifest: ParentRef) -> S3Uri:
        key = f"registry/{self._settings.package_group}/packages/{manifest.sha256}.json"
        return S3Uri(self._settings.storage.models_bucket, key)

    def _recorded(self, manifest: ParentRef) -> Iterator[str]:
        """Yield the ARN in the record of a manifest, or nothing if it has no record."""
        store, uri = ObjectStore(), self._registration_uri(manifest)
        if store.exists(uri):
            yield store.read_record(Registration, uri).package_arn

    def _listed(self, manifest: ParentRef) -> Iterator[str]:
        """Yield the ARNs of packages with a manifest's mark that were created since the manifest was written.

        A package is not older than its model, and most models are registered at once, so the oldest come
        first. If the manifest was deleted, nothing limits the list.
        """
        written = ObjectStore().find(manifest.uri)
        bounds: dict[str, Any] = {"SortOrder": "Ascending"}
        if written and written.modified:
            bounds["CreationTimeAfter"] = written.modified - _CLOCK_TOLERANCE
        mark = _mark(manifest)
        for summary in self._summaries(**bounds):
            if summary.get("ModelPackageDescription", "").endswith(mark):
                yield summary["ModelPackageArn"]

    def _summaries(self, **bounds: Any) -> Iterator[dict[str, Any]]:
        """Yield summaries of packages, newest first by default, or none if the group does not exist."""
        request: dict[str, Any] = {
            "ModelPackageGroupName": self._settings.package_group,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": _PAGE,
        } | bounds
        while True:
            try:
                page = self._sagemaker.list_model_packages(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NO_GROUP:
                    raise
                return
            yield from page["ModelPackageSummaryList"]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]


def _mark(manifest: ParentRef) -> str:
    """Return the suffix of a package's description, which identifies it: lists contain no metadata."""
    return f"{_MARK} {manifest.sha256[:16]}"


def _is_marked(summary: dict[str, Any]) -> bool:
    return re.search(rf"{_MARK} \w+$", summary.get("ModelPackageDescription", "")) is not None
