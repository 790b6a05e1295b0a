"""A sensor for the end of all rollouts, which then records the champion."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from include.aws.registry import APPROVED, ModelPackage, ModelRegistry
from include.aws.rollouts import Rollouts
from include.contracts.manifests import ModelManifest
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings import load_settings

log = logging.getLogger(__name__)

_POKE_SECONDS, _LONGEST_SECONDS = 15.0, 7200.0


class ChampionSensor(BaseSensorOperator):
    """Wait until no rollout or rollback is in progress, then make the model that serves the champion.

    ``takes_over`` says when it does not become the champion. XCom: the runs of both models.

    :param planned: the plan of the deployment, or None if it failed (templated)
    :param rollout: the result of the rollout, or None if it failed (templated)
    """

    template_fields: Sequence[str] = ("planned", "rollout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"planned": "json", "rollout": "json"}
    ui_color = "#e3f7d5"

    def __init__(self, *, planned: Any, rollout: Any, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=_POKE_SECONDS, timeout=_LONGEST_SECONDS, **kwargs)
        self.planned = planned
        self.rollout = rollout

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """See the class."""
        if self.planned is None:
            log.info("this run has chosen no model")
            return True
        serving = load_settings().serving
        rollouts = Rollouts(serving.cluster, serving.service)
        if rollouts.is_rolling():
            return False
        return PokeReturnValue(True, record_champion(rollouts, self.planned, self.rollout))


def record_champion(
    rollouts: Rollouts, planned: Mapping[str, Any], rollout: Mapping[str, Any] | None
) -> dict[str, str]:
    """Make the approved model that serves the champion, if it takes over. Return the runs of both."""
    registry = ModelRegistry(load_settings())

    def package(task_definition: str) -> ModelPackage | None:
        """Return the package from which the model of a task definition was converted, or None."""
        model = rollouts.model_of(task_definition) if task_definition else None
        if model is None:
            return None
        converted = ObjectStore().read_record(ModelManifest, S3Uri.parse(model.uri), model.sha256)
        return registry.find(converted.parent)

    champion, served = registry.champion(), package(rollouts.steady())
    replaced = package(rollout["previous_task_definition"]) if rollout else None
    if served is None or served.status != APPROVED or champion is None:
        log.info("no approved model serves: the champion is not changed")
    elif takes_over(served.arn, champion.arn, planned, replaced.arn if replaced else ""):
        log.warning("%s serves and becomes the champion instead of %s", served.run, champion.run)
        registry.note_champion(served.arn)
        champion = served
    elif not registry.is_noted(champion.arn):
        registry.note_champion(champion.arn)  # approved in the console: from now on its place is known
    return {"served": served.run if served else "", "champion": champion.run if champion else ""}


def takes_over(served: str, champion: str, planned: Mapping[str, Any], replaced: str) -> bool:
    """Return True if the package that serves after a run becomes the champion (docs/adr/0015).

    It does if a person chose it for this run, or if the champion is not going to serve: because it is the
    model of this run, which could not be deployed, or the one that this run's model has replaced. Any other
    champion was approved in the meantime, so its own deployment follows.
    """
    if served == champion:
        return False
    own = planned["package_arn"]
    is_chosen = planned["is_chosen_by_a_person"] and served == own
    return is_chosen or champion in (own, replaced)
