"""Write the reference of the params of every DAG, read from the DAGs themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronTriggerTimetable

from tools.reference.markdown import code, page, table

_INTRODUCTION = """Params are set in the form *Trigger* of the Airflow UI, or in `conf` of the REST API.
Defaults that come from the settings are those of `dev`."""


def dag_params_page(root: Path) -> str:
    """Return the page ``dag_params.md``."""
    parts = [_INTRODUCTION]
    for dag in sorted(_dags(root / "dags"), key=lambda dag: dag.dag_id):
        parts += [
            f"## {dag.dag_id}",
            f"{dag.description}.",
            f"Schedule: {_schedule(dag)}. File: [{dag.dag_id}.py](../../dags/{dag.dag_id}.py).",
            _table(dag),
        ]
    return page("Params of the DAGs", *parts)


def _dags(folder: Path) -> list[DAG]:
    bag = DagBag(str(folder))
    if bag.import_errors:
        raise RuntimeError(f"DAGs cannot be read: {bag.import_errors}")
    return list(bag.dags.values())


def _schedule(dag: DAG) -> str:
    if dag.schedule is None:
        return "none, triggered by hand"
    if isinstance(dag.schedule, CronTriggerTimetable):
        return f"{code(dag.schedule.expression)} (UTC)"
    return "by asset"


def _table(dag: DAG) -> str:
    rows = []
    for name in dag.params:
        param = dag.params.get_param(name)
        schema: Mapping[str, Any] = param.schema
        value = param.value
        default = f'"{value}"' if isinstance(value, str) else str(value).lower() if value is not None else ""
        rows.append(
            (
                code(name),
                str(schema.get("title", "")),
                _type(schema),
                code(default),
                _allowed(schema),
                str(param.description or ""),
            )
        )
    return table(("param", "in the form", "type", "default", "allowed", "description"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", "string" if "enum" in schema else "")
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    return " or ".join(name for name in names if name != "null") + (", optional" if "null" in names else "")


def _allowed(schema: Mapping[str, Any]) -> str:
    parts = []
    if "enum" in schema:
        parts.append(", ".join(code(str(value)) if value else "empty" for value in schema["enum"]))
    if "minimum" in schema or "maximum" in schema:
        parts.append(f"{schema.get('minimum', '')} to {schema.get('maximum', '')}")
    if "minLength" in schema or "maxLength" in schema:
        parts.append(f"{schema.get('minLength', 0)} to {schema.get('maxLength', '')} characters")
    if "pattern" in schema:
        parts.append(code(str(schema["pattern"])))
    return "; ".join(parts)
