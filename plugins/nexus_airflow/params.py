"""Params that several trigger forms share, and the check of a run's values.

Airflow validates values against their schemas. But it accepts keys that no form has, keeps 60.0 as a float,
and lets a pattern match before a trailing line feed. The form cannot be sent while a text field is empty,
unless its type allows null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset, Param

from include.contracts.errors import InputError
from include.contracts.records import require_portable

#: The end of a pattern. `$` also matches before a final line feed, and browsers do not support `\\Z`.
END = r"$(?!\n)"


def manifest_params(asset: Asset, title: str, example: str, newest: str) -> dict[str, Param]:
    """Return ``manifest_uri`` and ``manifest_sha256``: the manifest that a run started by hand takes.

    :param example: the form of the URI
    :param newest: what a run by hand takes when the URI is empty
    """
    return {
        "manifest_uri": Param(
            "",
            type=["string", "null"],
            pattern=rf"^(s3://[^/\s]+/\S+/manifest\.json)?{END}",
            title=title,
            description=f"{example}. Empty: {asset.name} of the event that started the run, else {newest}",
            section="Input",
        ),
        "manifest_sha256": Param(
            "",
            type=["string", "null"],
            pattern=f"^([0-9a-f]{{64}})?{END}",
            title="Hash of the manifest",
            description="Only with a manifest: refuse it if its SHA-256 differs. Empty: no check",
            section="Input",
        ),
    }


def checked_params(params: Mapping[str, Any], dag: Any) -> dict[str, Any]:
    """Return the values of a run, whole numbers as integers.

    Raises InputError for keys that no form has, and for values that JSON, UTF-8 or AWS cannot hold.

    :param params: values of the run: the form's defaults, overridden and extended by the run's conf
    """
    declared = {name: dag.params.get_param(name).schema for name in dag.params}
    unknown = sorted(set(params) - set(declared))
    if unknown:
        raise InputError(
            f"unknown {'params' if len(unknown) > 1 else 'param'} {', '.join(map(repr, unknown))}",
            where=f"conf of this run of {dag.dag_id}",
            expected=f"only {', '.join(declared)}",
            remedy="trigger the DAG again with the right names",
        )
    for name in declared:
        require_portable(params[name], f"param {name}", InputError)
    return {name: _as_declared(params[name], schema) for name, schema in declared.items()}


def _as_declared(value: Any, schema: Mapping[str, Any]) -> Any:
    """Convert a whole float to int, and the null of an empty text field to ''.

    JSON Schema accepts 60.0 as an integer, but AWS does not. The form sends null for an emptied field.
    """
    declared = schema.get("type", ())
    kinds = [declared] if isinstance(declared, str) else declared
    if value is None and "string" in kinds:
        return ""
    return int(value) if "integer" in kinds and isinstance(value, float) and value.is_integer() else value


def is_true(value: Any) -> bool:
    """Read a templated field, which may have become text, as a boolean."""
    return str(value).strip().lower() in ("true", "1", "yes")
