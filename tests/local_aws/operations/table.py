"""The table of docs/guides/local_aws.md: every operation that the project calls or local_aws executes."""

from __future__ import annotations

from pathlib import Path

from local_aws.front_door.control import Control
from local_aws.services import build_services
from local_aws.settings import LocalAwsSettings
from tests.local_aws.operations.callers import REPOSITORY, Operation

GUIDE = REPOSITORY / "docs/guides/local_aws.md"
BEGIN, END = "<!-- operations: begin -->", "<!-- operations: end -->"


def executed(root: Path) -> set[Operation]:
    """Operations that local_aws answers by executors of its own."""
    settings = LocalAwsSettings(root, 0, Control())
    built = build_services(settings)
    built.supervisor.stop()
    return built.operations.executed()


def rows(proven: set[Operation], by_executor: set[Operation], by_project: set[Operation]) -> list[str]:
    """Return the table's lines. S3 is executed as a whole: its objects are files."""
    lines = ["| service | operation | called by the project | here |", "|---|---|---|---|"]
    for service, name in sorted(proven | by_executor | by_project):
        runs = service == "s3" or (service, name) in by_executor
        if (service, name) not in proven:
            status = "unproven"
        else:
            status = "executed here" if runs else "validated by model only"
        mark = "yes" if (service, name) in by_project else ""
        lines.append(f"| {service} | {name} | {mark} | {status} |")
    return lines


def guide_with(lines: list[str]) -> str:
    """Return the guide with ``lines`` as its table."""
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    return "\n".join([before + BEGIN, *lines, END]) + rest.partition(END)[2]


def guide_rows() -> dict[Operation, tuple[str, str]]:
    """Read what the guide says of each operation: whether the project calls it, and what is done here."""
    table = GUIDE.read_text().partition(BEGIN)[2].partition(END)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line[:1] == "|"
    ]
    return {(row[0], row[1]): (row[2], row[3]) for row in cells[2:]}
