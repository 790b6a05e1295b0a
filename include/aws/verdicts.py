"""Verdicts of an evaluation: written only if its package and its champion are as they were at the plan.

Between the plan and the verdict, hours later, a person may approve or reject the package in the console, and
a rollback, a deployment by hand or an approval in the console may change the champion. SageMaker has no
conditional update, so both are read again just before a verdict is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.aws.registry import APPROVED, DESCRIPTION_LIMIT, PENDING, REJECTED, ModelPackage, ModelRegistry
from include.contracts.errors import InputError


@dataclass(frozen=True)
class Planned:
    """The package that is judged, the champion and the anchor, as the plan saw them.

    ``verdict_uri`` is the verdict's record, which marks the entries of this evaluation in the registry.
    """

    arn: str
    status: str
    reason: str
    champion_arn: str
    anchor_arn: str
    verdict_uri: str


class Verdicts:
    """The verdicts that one evaluation may write."""

    def __init__(self, registry: ModelRegistry, planned: Planned) -> None:
        self._registry = registry
        self._planned = planned

    def require_baseline(self) -> None:
        """Raise InputError if champion or anchor have changed since the plan: the report is about others.

        The package itself may be the champion already, if an earlier try or a person has approved it.
        """
        planned, order = self._planned, self._registry.approval_order()
        newest = order[-1] if order else ""
        if newest == planned.arn:
            newest = order[-2] if len(order) > 1 else ""
        elif planned.arn in order and planned.status != APPROVED:
            # it was approved since the plan, and then the former champion was rolled back to
            self._refuse("champion", planned.arn, newest)
        if newest != planned.champion_arn:
            self._refuse("champion", planned.champion_arn, newest)
        champion = self._registry.package(newest) if newest else None
        anchor = self._registry.anchor(champion).arn if champion else ""
        if anchor != planned.anchor_arn:
            self._refuse("anchor", planned.anchor_arn, anchor)

    def reject(self, reason: str) -> str:
        """Reject the package. If it has another verdict, which is kept, return a sentence about it.

        An approved package is never rejected by an evaluation, because it may be serving.
        """
        package = self._package()
        if package.status == APPROVED or self._was_decided(package):
            return f"{package.arn} stays {package.status}: {package.reason or 'no reason given'}"
        self._write(REJECTED, reason)
        return ""

    def approve(self, reason: str, is_best: bool) -> str:
        """Approve the package and record it as the champion. A rejection since the plan is kept and returned.

        :param is_best: the package becomes the anchor too
        """
        planned, package = self._planned, self._package()
        is_decided = self._was_decided(package)
        if is_decided and package.status == REJECTED:
            return f"{package.arn} was {REJECTED} since the plan: {package.reason or 'no reason given'}"
        self.require_baseline()
        if not is_decided:
            self._write(APPROVED, reason)
        self._registry.note_champion(planned.arn, planned.arn if is_best else planned.anchor_arn)
        return ""

    def _was_decided(self, package: ModelPackage) -> bool:
        """Return True if somebody else has approved or rejected the package since the plan."""
        planned = self._planned
        if package.status == PENDING or (package.status, package.reason) == (planned.status, planned.reason):
            return False
        return not package.reason.endswith(self._signature(package.status))

    def _package(self) -> ModelPackage:
        package = self._registry.package(self._planned.arn)
        if package is None:
            remedy = "clear plan with Downstream: it registers the model again"
            raise InputError("the package was deleted", where=self._planned.arn, remedy=remedy)
        return package

    def _write(self, status: str, reason: str) -> None:
        signature = self._signature(status)
        text = f"{reason[: DESCRIPTION_LIMIT - len(signature)]}{signature}"
        self._registry.set_status(self._planned.arn, status, text)

    def _signature(self, status: str) -> str:
        """Return the end of this evaluation's reasons. A person who changes only the status keeps it."""
        return f" ({status} by {self._planned.verdict_uri})"

    def _refuse(self, what: str, planned: str, found: str) -> None:
        raise InputError(
            f"the {what} has changed since the plan, so the report does not decide about this candidate",
            where=self._planned.arn,
            expected=f"{what} {planned or 'none'}",
            got=found or "none",
            remedy="clear plan with Downstream to judge it against the models of now",
        )
