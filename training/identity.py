"""Decides if a run may resume from a checkpoint: mathematics and corpus must be those of the run.

A marker holds the mathematics of its run in plain form (`include.recipes.training.mathematics`), not only
their hash. So a field that one side lacks can be read as its default, and the error can name the fields that
differ. Markers of the first release hold only a hash of the whole recipe, with its name and micro batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from include.contracts.errors import NexusError
from include.contracts.manifests import CheckpointMarker
from include.contracts.records import canonical_json, content_hash, to_plain
from include.recipes.training import OPERATION_FIELDS, ModelRecipe, TrainingRecipe, mathematics

#: The fields of a recipe in the first release, which hashed all of them.
_FIRST_RELEASE = (
    "name",
    "steps",
    "batch_sequences",
    "micro_batch_sequences",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "seed",
    "precision",
    "mixture",
    "mixture_absent",
    "model",
    "optimiser",
)
_FIRST_RELEASE_OPTIMISER = (
    "learning_rate",
    "weight_decay",
    "beta1",
    "beta2",
    "warmup_steps",
    "final_share",
    "gradient_clip",
)
#: Fields whose keys are data (names of subsets): they are compared as a whole.
_WHOLE = ("mixture",)


class CheckpointMismatch(NexusError):
    """Raised for a checkpoint that was made with another recipe, base model or corpus."""


@dataclass(frozen=True)
class CheckpointIdentity:
    """The mathematics and the corpus of a run.

    ``first_release_hashes`` are the recipe hashes that the first release may have written for this run.
    """

    mathematics: Mapping[str, Any]
    corpus_sha256: str
    first_release_hashes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, recipe: TrainingRecipe, shape: dict[str, Any], base_model_uri: str, corpus: str
    ) -> CheckpointIdentity:
        """Build the identity of a run from its recipe, its model's complete shape and its corpus' hash."""
        return cls(
            mathematics(recipe, shape, base_model_uri), corpus, tuple(_hashes_of_first_release(recipe, shape))
        )

    @property
    def recipe_sha256(self) -> str:
        """SHA-256 of the mathematics."""
        return content_hash(canonical_json(self.mathematics))

    def require(self, marker: CheckpointMarker, where: str) -> None:
        """Raise CheckpointMismatch unless the checkpoint belongs to this run."""
        if marker.corpus_sha256 != self.corpus_sha256:
            raise CheckpointMismatch(
                "was made with another corpus",
                where=where,
                expected=self.corpus_sha256,
                got=marker.corpus_sha256,
                remedy="start a new run, or use the corpus of this run again",
            )
        remedy = "start a new run, or use the recipe of this run again"
        if not marker.mathematics:
            if marker.recipe_sha256 not in self.first_release_hashes:
                raise CheckpointMismatch(
                    "was made with another recipe",
                    where=where,
                    expected=f"one of {len(self.first_release_hashes)} hashes, among them "
                    f"{', '.join(self.first_release_hashes[:1])}",
                    got=marker.recipe_sha256,
                    remedy=remedy,
                )
            return
        if differing := differences(marker.mathematics, self.mathematics):
            raise CheckpointMismatch(
                "was made with another recipe",
                where=where,
                expected="; ".join(f"{name} {ours!r}" for name, _, ours in differing),
                got="; ".join(f"{name} {theirs!r}" for name, theirs, _ in differing),
                remedy=remedy,
            )


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (field, their value, our value) of every difference. An absent field has its default."""
    defaults = dict(_leaves(_default_mathematics()))
    left, right = dict(_leaves(theirs)), dict(_leaves(ours))
    found = []
    for name in sorted(left.keys() | right.keys()):
        values = [side.get(name, defaults.get(name, "absent")) for side in (left, right)]
        if values[0] != values[1]:
            found.append((name, values[0], values[1]))
    return found


def _default_mathematics() -> dict[str, Any]:
    recipe = TrainingRecipe("")
    return mathematics(recipe, to_plain(ModelRecipe().shape()), "")


def _leaves(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in _WHOLE:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _hashes_of_first_release(recipe: TrainingRecipe, shape: dict[str, Any]) -> Iterator[str]:
    """Yield the hash of the whole recipe for each micro batch that the run may have had.

    The first release hashed the micro batch too. Every divisor of the global batch is tried, so that a run
    of that release can still lower its micro batch after it ran out of memory.
    """
    plain, default = to_plain(recipe), to_plain(TrainingRecipe(""))
    earlier = {name: plain[name] for name in _FIRST_RELEASE}
    earlier["optimiser"] = {name: plain["optimiser"][name] for name in _FIRST_RELEASE_OPTIMISER}
    added = plain.keys() - set(_FIRST_RELEASE) - set(OPERATION_FIELDS)
    if default["optimiser"] | earlier["optimiser"] != plain["optimiser"] or any(
        plain[name] != default[name] for name in added
    ):
        return  # the first release could not express this recipe
    for micro in range(recipe.batch_sequences, 0, -1):
        if recipe.batch_sequences % micro == 0:
            whole = earlier | {"model": shape, "micro_batch_sequences": micro}
            yield content_hash(canonical_json(whole))
