"""A sensor for raw shards in S3 that are not in the latest corpus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.storage import S3Uri
from include.planning.published import latest_corpus, shard_news
from include.recipes.overrides import chosen_corpus_recipe
from include.settings import load_settings
from nexus_airflow.errors import SourceNotListed
from nexus_airflow.params import is_true
from nexus_airflow.triggers.new_shards import NewShardsTrigger


class S3NewShardsSensor(BaseSensorOperator):
    """Wait for new shards, and skip the following tasks if none arrives within ``timeout``. Deferrable.

    :param source_uri: prefix of the raw shards (templated)
    :param recipe: recipe of the corpus to compare with (templated)
    :param profile: near dedup profile instead of the recipe's, or empty (templated)
    :param recipe_overrides: values that replace the recipe's (templated)
    :param wait: False only counts the new shards, for a run started by hand (templated)
    """

    template_fields: Sequence[str] = ("source_uri", "recipe", "profile", "recipe_overrides", "wait")
    ui_color = "#e3f7d5"

    def __init__(
        self,
        *,
        source_uri: Any,
        recipe: Any,
        profile: Any = "",
        recipe_overrides: Any = None,
        wait: Any = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**(kwargs | {"execution_timeout": None}))
        self.source_uri = source_uri
        self.recipe = recipe
        self.profile = profile
        self.recipe_overrides = recipe_overrides
        self.wait = wait

    def execute(self, context: Context) -> dict[str, Any]:
        """Count the new shards. Defer until there is one."""
        source = S3Uri.parse(self.source_uri)
        recipe = chosen_corpus_recipe(self.recipe, self.profile, self.recipe_overrides)
        latest = latest_corpus(load_settings(), source, recipe)
        news = shard_news(source, latest)
        found = news.summary
        self.log.info("%s new shards in %s: %s", found["new_shards"], source, ", ".join(found["examples"]))
        if news.gone:
            what = "%s shards of the newest corpus were deleted, such as %s; it still holds their documents"
            self.log.warning(what, len(news.gone), news.gone[0])
        if news.new or not is_true(self.wait):
            return found
        if self.timeout <= 0:
            return self.finish(context, found)
        deadline = time.time() + self.timeout
        trigger = NewShardsTrigger(self.source_uri, str(latest), self.poke_interval, deadline)
        return self.defer(trigger=trigger, method_name="finish")

    def finish(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the trigger's count, or skip after the timeout. Raises SourceNotListed."""
        if error := event.get("error"):
            remedy = "correct the access to the source, then clear this task; a retry waits again"
            raise SourceNotListed(
                "the source could not be listed", where=self.source_uri, got=error, remedy=remedy
            )
        if not event["new_shards"]:
            raise AirflowSkipException(f"no new shards under {self.source_uri} within {self.timeout} s")
        return event
