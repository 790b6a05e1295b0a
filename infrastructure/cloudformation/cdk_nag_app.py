"""Runs cdk-nag over templates, in a process of its own, because it starts Node.

python -m infrastructure.cloudformation.cdk_nag_app FOLDER TEMPLATE…

Writes ``validation-report.json`` into FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk
import cdk_nag
from aws_cdk import cloudformation_include


def main(folder: str, *paths: str) -> int:
    """Include every template in an app and let the packs of rules validate it."""
    app = aws_cdk.App(
        outdir=folder, analytics_reporting=False, context={"@aws-cdk/core:validationReportJson": True}
    )
    aws_cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(), cdk_nag.NIST80053R5Checks())
    for path in paths:
        stack = aws_cdk.Stack(app, Path(path).stem)
        cloudformation_include.CfnInclude(stack, "Template", template_file=path)
    report = Path(folder) / "validation-report.json"
    try:
        app.synth()
    except RuntimeError:
        if not report.is_file():  # findings end in an error too, after the report is written
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
