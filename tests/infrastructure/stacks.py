"""Small environments for tests of rules: one template, evaluated with the name dev."""

from __future__ import annotations

import textwrap

from infrastructure.cloudformation.check import ANY_PLACE
from infrastructure.cloudformation.environments import EvaluatedEnvironment, evaluate_environment
from infrastructure.cloudformation.findings import Finding
from infrastructure.cloudformation.parameters import stack_parameters
from infrastructure.cloudformation.rules import own_rules
from infrastructure.cloudformation.template import Template, parse_template


def template(resources: str, outputs: str = "", name: str = "example", parameters: str = "") -> Template:
    """Return a template with the parameter Environment and these resources."""
    parts = ["Parameters:", "  Environment: {Type: String}"]
    parts += [textwrap.indent(textwrap.dedent(parameters), "  ")] if parameters else []
    parts += ["Resources:", textwrap.indent(textwrap.dedent(resources), "  ")]
    parts += ["Outputs:", textwrap.indent(textwrap.dedent(outputs), "  ")] if outputs else []
    return parse_template("\n".join(parts), name)


def environment(*templates: Template, **given: str) -> EvaluatedEnvironment:
    """Evaluate templates as the environment dev; ``given`` are parameters of the first one."""
    values = {
        each.name: stack_parameters(each, given if each is templates[0] else {}, "dev", each.name)
        for each in templates
    }
    return evaluate_environment("dev", ANY_PLACE, templates, values)


def found(rule: str, resources: str, outputs: str = "", **given: str) -> list[Finding]:
    """Return what ``rule`` finds in a template with these resources."""
    return [
        each for each in own_rules(environment(template(resources, outputs), **given)) if each.rule == rule
    ]
