"""Applies every mutator to every place of the templates, and finds the rule that notices each mutant.

Our own rules and the validators in this process are asked first. What they do not notice is written to files,
and the validators that take seconds to start are asked once about all of them.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infrastructure.cloudformation import validators
from infrastructure.cloudformation.check import ANY_PLACE
from infrastructure.cloudformation.environments import environment_names, evaluate_environment
from infrastructure.cloudformation.findings import Finding, common_waivers, judge
from infrastructure.cloudformation.mutation.mutators import MUTATORS, Mutator
from infrastructure.cloudformation.mutation.mutators import Path as Place
from infrastructure.cloudformation.parameters import Parameters, read_parameters
from infrastructure.cloudformation.rules import own_rules
from infrastructure.cloudformation.template import Template, TemplateError

#: The catcher of a mutant that cannot be evaluated at all.
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Mutant:
    """A template with one fault."""

    mutator: Mutator
    resource: str
    place: Place
    template: Template

    def __str__(self) -> str:
        way = "/".join(map(str, self.place))
        return f"{self.template.name}: {self.resource}/{way}: {self.mutator.name}"


def mutants(templates: Iterable[Template], mutators: Sequence[Mutator] = MUTATORS) -> list[Mutant]:
    """Return every mutant. Raises TemplateError if a mutator changes nothing in any template."""
    found = []
    unused = {mutator.name for mutator in mutators}
    for template in templates:
        for name, resource in template.resources.items():
            for mutator in mutators if isinstance(resource, Mapping) else ():
                for place in mutator.places(resource):
                    mutant = _mutant(template, name, mutator, place)
                    if mutant.template.body != template.body:  # elsewhere it had that value before
                        found.append(mutant)
                        unused.discard(mutator.name)
    if unused:
        raise TemplateError(f"these mutators change nothing: {', '.join(sorted(unused))}")
    return found


def _mutant(template: Template, name: str, mutator: Mutator, place: Place) -> Mutant:
    body = copy.deepcopy(dict(template.body))
    mutator.apply(body["Resources"][name], place)
    return Mutant(mutator, name, place, replace(template, body=body))


@dataclass
class Trial:
    """The templates as they are, and what is found in them without a fault."""

    folder: Path
    templates: Sequence[Template]
    _parameters: dict[str, Parameters] = field(default_factory=dict)
    _before: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    _common: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._common = common_waivers(self.folder)
        for name in environment_names(self.folder):
            path = self.folder / "parameters" / f"{name}.toml"
            self._parameters[name] = read_parameters(path, self.templates)

    def catchers(
        self, found: Sequence[Mutant], progress: Callable[[int], None] = lambda _: None
    ) -> dict[int, str]:
        """Return the rule that notices each mutant, by its position in ``found``."""
        caught = {}
        for index, mutant in enumerate(found):
            if catcher := self._quickly(mutant):
                caught[index] = catcher
            progress(index + 1)
        left = {index: mutant for index, mutant in enumerate(found) if index not in caught}
        for validator in (validators.by_checkov, validators.by_cdk_nag):
            caught |= self._together(validator, {i: each for i, each in left.items() if i not in caught})
        return caught

    def _quickly(self, mutant: Mutant) -> str:
        try:
            own = self._own(mutant.template)
        except (TemplateError, KeyError, TypeError, ValueError, AttributeError):
            return EVALUATION
        before = self._baseline("own", lambda: self._own(None))
        if catcher := self._new(mutant.template, own, before):
            return catcher
        with tempfile.TemporaryDirectory() as folder:
            path = _write(mutant.template, Path(folder))
            for validator in (validators.by_cloudformation_validate, _lint):
                original = _by_name(self.templates, mutant.template.name)
                before = self._baseline(
                    f"{validator.__name__} {original.name}",
                    lambda validator=validator, original=original: validator(  # type: ignore[misc]
                        original, _write(original, Path(folder), "original")
                    ),
                )
                if catcher := self._new(mutant.template, validator(mutant.template, path), before):
                    return catcher
        return ""

    def _own(self, mutated: Template | None) -> list[Finding]:
        """Return what our rules find, with one template replaced by its mutant."""
        templates = [mutated if mutated and mutated.name == each.name else each for each in self.templates]
        return [
            finding
            for name, parameters in self._parameters.items()
            for finding in own_rules(evaluate_environment(name, ANY_PLACE, templates, parameters))
        ]

    def _together(
        self,
        validator: Callable[[Sequence[Template], Sequence[Path]], Iterator[Finding]],
        left: Mapping[int, Mutant],
    ) -> dict[int, str]:
        """Ask a slow validator about all mutants that are left, and about the templates as they are."""
        if not left:
            return {}
        renamed = {index: replace(each.template, name=f"m{index}") for index, each in left.items()}
        originals = {each.template.name for each in left.values()}
        with tempfile.TemporaryDirectory() as folder:
            asked = [*renamed.values(), *(_by_name(self.templates, name) for name in sorted(originals))]
            paths = [_write(template, Path(folder)) for template in asked]
            by_template: dict[str, list[Finding]] = defaultdict(list)
            for finding in validator(asked, paths):
                by_template[finding.template].append(finding)
        caught = {}
        for index, mutant in left.items():
            before = {_key(each) for each in by_template[mutant.template.name]}
            found = [replace(each, template=mutant.template.name) for each in by_template[f"m{index}"]]
            if catcher := self._new(mutant.template, found, before):
                caught[index] = catcher
        return caught

    def _baseline(self, name: str, find: Callable[[], Iterable[Finding]]) -> set[tuple[str, str, str]]:
        if name not in self._before:
            self._before[name] = {_key(finding) for finding in find()}
        return self._before[name]

    def _new(self, template: Template, found: Iterable[Finding], before: set[tuple[str, str, str]]) -> str:
        """Return the rule of the first finding that is new and not waived."""
        fresh = [finding for finding in found if _key(finding) not in before]
        standing = judge(fresh, [template], self._common).findings
        return standing[0].rule if standing else ""


def _lint(template: Template, path: Path) -> Iterator[Finding]:
    return validators.by_cfn_lint(template, path, ANY_PLACE.region)


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.resource, finding.rule, finding.message


def _by_name(templates: Iterable[Template], name: str) -> Template:
    return next(template for template in templates if template.name == name)


def _write(template: Template, folder: Path, suffix: str = "") -> Path:
    # JSON is YAML, and has the long form of every function
    path = folder / f"{template.name}{suffix}.yaml"
    path.write_text(json.dumps(template.body))
    return path
