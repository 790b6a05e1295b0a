"""Write the reference of the recipes: the fields of every kind, and what each packaged recipe changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from include.contracts.records import to_plain
from include.recipes.corpus import CorpusRecipe
from include.recipes.gate import GateRecipe
from include.recipes.loading import packaged_recipe, recipe_names
from include.recipes.near_dedup import NearDedupRecipe
from include.recipes.source import Source
from include.recipes.training import TrainingRecipe
from tools.reference.fields import section_of
from tools.reference.markdown import page, prose, table
from tools.reference.settings import field_row


@dataclass(frozen=True)
class Kind:
    """One kind of recipe: its class, its folder below include/recipes, and how it is chosen."""

    title: str
    type: type
    family: str
    chosen_by: str


KINDS = (
    Kind(
        "Corpus",
        CorpusRecipe,
        "corpora",
        "Param `recipe` of `corpus_refresh`; `make corpus RECIPE=` also takes a file of your own.",
    ),
    Kind(
        "Near-duplicate profile",
        NearDedupRecipe,
        "near_dedup_profiles",
        "Param `profile` of `corpus_refresh`; `make corpus PROFILE=`. It replaces the section `near_dedup`.",
    ),
    Kind("Training", TrainingRecipe, "trainings", "Param `recipe` of `model_training`."),
    Kind("Gate", GateRecipe, "gates", "Param `gate` of `model_evaluation`."),
    Kind(
        "Source",
        Source,
        "sources",
        "Param `source` of `source_ingestion`; `ingestion.sources_folder` of the settings adds your own.",
    ),
)
_INTRODUCTION = """A recipe is a TOML file in a folder of [include/recipes](../../include/recipes). A section
of the file is a section below. A field that the file leaves out has its default. An unknown key or a value
that is not allowed is an error that names the field."""
_LONGEST_VALUE = 120


def recipes_page() -> str:
    """Return the page ``recipes.md``."""
    parts = [_INTRODUCTION]
    for kind in KINDS:
        parts += [f"## {kind.title}", f"Folder `include/recipes/{kind.family}/`. {kind.chosen_by}"]
        parts += _sections(kind.type, "")
        parts += ["### Packaged", _packaged(kind)]
    return page("Recipes", *parts)


def _sections(kind: type, path: str, heading: str = "Top level") -> list[str]:
    """Return the heading, summary and table of a dataclass, and those of the dataclasses within it."""
    section, hints = section_of(kind), get_type_hints(kind)
    nested = {field.name: _nested(hints[field.name]) for field in section.fields}
    plain = [field for field in section.fields if not nested[field.name]]
    rows = map(field_row, plain)
    parts = [
        f"### {heading}",
        prose(section.summary),
        table(("field", "type", "default", "allowed", "description"), rows),
    ]
    for name, inner in nested.items():
        if inner:
            below = f"{path}.{name}" if path else name
            parts += _sections(inner, below, _heading(below, hints[name]))
    return parts


def _heading(path: str, hint: Any) -> str:
    """Return the heading of a section as TOML has it."""
    if is_dataclass(hint):
        return f"[{path}]"
    return f"[{path}.<name>]" if get_origin(hint) is dict else f"[[{path}]]"


def _nested(hint: Any) -> type | None:
    """Return the dataclass of a section, of a list of tables or of a mapping to tables."""
    candidates = [hint, *get_args(hint)]
    return next((entry for entry in candidates if is_dataclass(entry) and isinstance(entry, type)), None)


def _packaged(kind: Kind) -> str:
    rows = []
    for name in recipe_names(kind.family):
        recipe: Any = packaged_recipe(kind.type, kind.family, name)
        changed = dict(_changes(to_plain(recipe), _defaults(kind.type), ""))
        changed.pop("name", None)
        text = ", ".join(f"{key} = {_short(value)}" for key, value in changed.items())
        rows.append((f"[{name}](../../include/recipes/{kind.family}/{name}.toml)", text or "only defaults"))
    return table(("recipe", "differs from the defaults in"), rows)


def _defaults(kind: type) -> Any:
    """Return the plain form of the defaults of a dataclass, without its required fields."""
    found = {}
    for field in fields(kind):
        if field.default is not MISSING:
            found[field.name] = to_plain(field.default)
        elif field.default_factory is not MISSING:
            found[field.name] = to_plain(field.default_factory())
    return found


def _changes(value: Mapping[str, Any], default: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    found = []
    for key, entry in value.items():
        name = f"{path}{key}"
        if isinstance(entry, Mapping) and isinstance(default.get(key), Mapping) and default[key]:
            found += _changes(entry, default[key], f"{name}.")
        elif key not in default or entry != default[key]:
            found.append((name, entry))
    return found


def _short(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{len(value)} table{'s' if len(value) > 1 else ''}"
    if isinstance(value, Mapping) and value:
        return f"{len(value)} entries"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
