"""Checks the templates: they can be evaluated for every environment, and no rule is broken.

python -m infrastructure.cloudformation.check [--quick] [FOLDER]

``--quick`` leaves out checkov and cdk-nag, which take longer than all the others together. Nothing needs a
network or an account.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from include.contracts.errors import NexusError
from infrastructure.cloudformation import validators
from infrastructure.cloudformation.environments import (
    FOLDER,
    environment_names,
    read_environment,
    read_templates,
)
from infrastructure.cloudformation.evaluate import Place
from infrastructure.cloudformation.findings import Finding, common_waivers, judge
from infrastructure.cloudformation.rules import own_rules
from infrastructure.cloudformation.template import Template

#: An account and region that stand for any: the templates name neither.
ANY_PLACE = Place("0" * 12, "us-east-1", ("us-east-1a", "us-east-1b", "us-east-1c"))


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if no finding stands."""
    parser = argparse.ArgumentParser(prog="infrastructure.cloudformation.check")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="leave out checkov and cdk-nag")
    arguments = parser.parse_args(argv)
    try:
        return _check(arguments.folder, quick=arguments.quick)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _check(folder: Path, *, quick: bool) -> int:
    templates = read_templates(folder)
    found: set[Finding] = set()
    for name, step in _steps(folder, templates, quick=quick):
        started = time.monotonic()
        found |= set(step())
        print(f"check: {name} ({time.monotonic() - started:.1f} s)")
    judgement = judge(found, templates, common_waivers(folder))
    for finding in judgement.findings:
        print(finding)
    # a waiver of a rule that has not run is not unused
    unused = () if quick else judgement.unused
    for waiver in unused:
        print(f"waives nothing, so remove it: {waiver}")
    waived = len(found) - len(judgement.findings)
    print(f"{len(templates)} templates: {len(judgement.findings)} findings, {waived} waived with a reason")
    return 1 if judgement.findings or unused else 0


def _steps(
    folder: Path, templates: Sequence[Template], *, quick: bool
) -> Iterable[tuple[str, Callable[[], Iterable[Finding]]]]:
    paths = [folder / f"{template.name}.yaml" for template in templates]
    pairs = list(zip(templates, paths, strict=True))
    yield "own rules", lambda: _own(folder, templates)
    yield (
        "cloudformation-validate with Guard rules",
        lambda: [each for pair in pairs for each in validators.by_cloudformation_validate(*pair)],
    )
    yield (
        "cfn-lint",
        lambda: [each for pair in pairs for each in validators.by_cfn_lint(*pair, ANY_PLACE.region)],
    )
    if not quick:
        yield "checkov", lambda: validators.by_checkov(templates, paths)
        yield "cdk-nag", lambda: validators.by_cdk_nag(templates, paths)


def _own(folder: Path, templates: Sequence[Template]) -> list[Finding]:
    """Return what our rules find with the parameters of any environment."""
    return [
        each
        for name in environment_names(folder)
        for each in own_rules(read_environment(name, ANY_PLACE, templates, folder))
    ]


if __name__ == "__main__":
    sys.exit(main())
