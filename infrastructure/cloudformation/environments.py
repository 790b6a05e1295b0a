"""Evaluates all stacks of an environment in the order of their imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from infrastructure.cloudformation.evaluate import EvaluatedOutput, EvaluatedResource, Evaluation, Place
from infrastructure.cloudformation.parameters import Parameters, read_parameters
from infrastructure.cloudformation.template import Template, TemplateError, functions, read_template

#: Key below Metadata of a template that is deployed in another region than the others.
REGION_FROM = "RegionFrom"
FOLDER = Path(__file__).resolve().parents[1] / "stacks"


@dataclass(frozen=True)
class EvaluatedStack:
    """A stack with the values that it has in one environment."""

    template: Template
    name: str
    place: Place
    resources: Mapping[str, EvaluatedResource]
    outputs: Mapping[str, EvaluatedOutput]
    #: Names of the exports that this stack imports.
    imports: frozenset[str]

    def of_type(self, kind: str) -> list[EvaluatedResource]:
        """Return the resources of a type."""
        return [resource for resource in self.resources.values() if resource.type == kind]


@dataclass(frozen=True)
class EvaluatedEnvironment:
    """All stacks of an environment, each after those that it imports from."""

    name: str
    place: Place
    parameters: Parameters
    stacks: tuple[EvaluatedStack, ...]

    def of_type(self, kind: str) -> Iterator[tuple[EvaluatedStack, EvaluatedResource]]:
        """Yield the resources of a type, with their stacks."""
        for stack in self.stacks:
            for resource in stack.of_type(kind):
                yield stack, resource

    @property
    def exports(self) -> dict[str, EvaluatedStack]:
        """The stack that makes each export."""
        return {
            output.export: stack
            for stack in self.stacks
            for output in stack.outputs.values()
            if output.export
        }


def read_templates(folder: Path = FOLDER) -> list[Template]:
    """Read every template of a folder, by name."""
    return [read_template(path) for path in sorted(folder.glob("*.yaml"))]


def environment_names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the environments that have parameters."""
    return sorted(path.stem for path in (folder / "parameters").glob("*.toml"))


def read_environment(
    name: str, place: Place, templates: Iterable[Template] | None = None, folder: Path = FOLDER
) -> EvaluatedEnvironment:
    """Evaluate all stacks of an environment of the repository, with placeholders for what AWS decides."""
    found = list(templates) if templates is not None else read_templates(folder)
    path = folder / "parameters" / f"{name}.toml"
    if not path.is_file():
        raise TemplateError(
            f"there is no environment {name}",
            where=str(path),
            expected=f"one of {', '.join(environment_names(folder))}",
            remedy=f"write {path.name} next to them",
        )
    return evaluate_environment(name, place, found, read_parameters(path, found))


def evaluate_environment(
    name: str, place: Place, templates: Iterable[Template], parameters: Parameters
) -> EvaluatedEnvironment:
    """Evaluate ``templates`` in the order of their imports.

    Raises TemplateError if an import has no export, or if stacks import from each other in a circle.
    """
    values: dict[str, Any] = {}
    evaluations = {
        template.name: _evaluation(template, name, there, parameters[template.name], values)
        for template in templates
        if (there := _place_of(template, place, parameters))
    }
    imports = {key: _imports(evaluation) for key, evaluation in evaluations.items()}
    makers = {export: key for key, evaluation in evaluations.items() for export in evaluation.export_names()}
    stacks = []
    for key in _order(evaluations, imports, makers):
        evaluation = evaluations[key]
        outputs = {found.name: found for found in evaluation.outputs()}
        values |= {found.export: found.value for found in outputs.values() if found.export}
        resources = {found.logical_id: found for found in evaluation.resources()}
        stacks.append(
            EvaluatedStack(
                evaluation.template,
                evaluation.stack_name,
                evaluation.place,
                resources,
                outputs,
                frozenset(imports[key]),
            )
        )
    return EvaluatedEnvironment(name, place, parameters, tuple(stacks))


def stack_name(environment: str, template: str) -> str:
    """Return the name of a stack."""
    return f"nexus-llm-{environment}-{template}"


def _place_of(template: Template, place: Place, parameters: Parameters) -> Place | None:
    """Return where a template is deployed; None if the parameter that names its region is empty.

    ``Metadata.RegionFrom`` of a template names that parameter, as ``stack.Parameter``.
    """
    named = template.section("Metadata").get(REGION_FROM)
    if not named:
        return place
    stack, _, parameter = str(named).partition(".")
    if stack not in parameters or parameter not in parameters[stack]:
        where = template.where(("Metadata", REGION_FROM))
        raise TemplateError(f"{named} is no parameter of a stack", where=where)
    region = parameters[stack][parameter]
    zones = tuple(zone.replace(place.region, region) for zone in place.zones)
    return replace(place, region=region, zones=zones) if region else None


def _evaluation(
    template: Template,
    environment: str,
    place: Place,
    parameters: Mapping[str, Any],
    exported: Mapping[str, Any],
) -> Evaluation:
    def attribute(logical_id: str, name: str) -> str:
        return f"<{template.name}.{logical_id}{'.' if name else ''}{name}>"

    return Evaluation(
        template,
        parameters,
        place,
        stack_name(environment, template.name),
        attribute,
        exported.__getitem__,
    )


def _imports(evaluation: Evaluation) -> set[str]:
    """Return the exports that a template names, also under a condition that does not hold."""
    return {
        str(evaluation.value(argument, position))
        for position, name, argument in functions(evaluation.template.body)
        if name == "Fn::ImportValue"
    }


def _order(
    evaluations: Mapping[str, Evaluation], imports: Mapping[str, set[str]], makers: Mapping[str, str]
) -> list[str]:
    graph: dict[str, list[str]] = {}
    for key in sorted(evaluations):
        for export in sorted(imports[key]):
            if export not in makers:
                raise TemplateError(
                    f"imports {export}, which no stack exports",
                    where=evaluations[key].template.file or key,
                    expected=f"one of {', '.join(sorted(makers))}",
                )
        graph[key] = sorted({makers[export] for export in imports[key]})
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise TemplateError(f"stacks import from each other in a circle: {circle}") from error
