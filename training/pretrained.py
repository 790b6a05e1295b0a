"""Loads models in the Hugging Face layout, after a check of everything that transformers accepts silently.

transformers fills missing weights with random values, converts integers to floating point, and loads tensors
from files that the index does not name for them. Here each of these is an error that names file and tensor.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from include.contracts.errors import InputError, IntegrityError, NexusError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: Number types of weights, by the names of the safetensors format.
_FLOATING = ("F64", "F32", "F16", "BF16")
_CONFIG = "config.json"


def load_pretrained(kind: Any, folder: Path) -> Any:
    """Load the model in ``folder`` in float32 with ``kind``, a class of transformers.

    Raises InputError if it cannot be loaded, and IntegrityError if weights are missing or damaged.
    """
    require_plain_configuration(folder)
    require_sound_weights(folder)
    try:
        # mismatched sizes are reported with the names of their tensors below
        model, loaded = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(
            "cannot be loaded by transformers",
            where=str(folder),
            got=one_line(error),
            remedy=f"compare {_CONFIG} with the published one of this model",
        ) from error
    _require_all_weights(loaded, str(folder))
    return model


def require_plain_configuration(folder: Path) -> dict[str, Any]:
    """Return the content of config.json. Raises InputError if it is malformed or of a quantised model."""
    path = folder / _CONFIG
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("is not a model folder", where=str(path), got=one_line(error)) from error
    if not isinstance(content, dict):
        raise InputError(
            "is not the configuration of a model",
            where=str(path),
            expected="a JSON object",
            got=type(content).__name__,
        )
    if content.get("quantization_config"):
        raise InputError(
            "is the configuration of a quantised model",
            where=str(path),
            expected=f"weights of the types {', '.join(_FLOATING)}",
            remedy="use the model that was not quantised",
        )
    return content


def require_sound_weights(folder: Path) -> None:
    """Check the headers of all weight files: that they are whole, hold floats, and agree with the index."""
    shards = _weight_map(folder)
    for file, expected in shards.items():
        found = _header(folder / file)
        for tensor, number_type in found.items():
            if number_type not in _FLOATING:
                raise InputError(
                    f"holds {tensor} as {number_type}",
                    where=str(folder / file),
                    expected=f"one of {', '.join(_FLOATING)}",
                    remedy="use the model that was not quantised",
                )
        if expected is not None and found.keys() != expected:
            missing, extra = sorted(expected - found.keys()), sorted(found.keys() - expected)
            what = (
                f"has no tensor {missing[0]}" if missing else f"holds {extra[0]}, of which it is not the file"
            )
            raise IntegrityError(
                f"differs from {INDEX}: {what}",
                where=str(folder / file),
                remedy="copy the index and all shards of one model again",
            )


def one_line(error: BaseException) -> str:
    """Return type and text of an error in one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _weight_map(folder: Path) -> dict[str, set[str] | None]:
    """Return the weight files, each with its tensors by the index, or None if there is no index."""
    index = folder / INDEX
    if not index.is_file():
        if not (folder / WEIGHTS).is_file():
            raise InputError(
                "has no weights in the safetensors format",
                where=str(folder),
                expected=f"{WEIGHTS}, or {INDEX} and its shards",
                got=", ".join(sorted(path.name for path in folder.iterdir() if path.is_file())[:10]),
                remedy="convert the model with transformers' save_pretrained",
            )
        return {WEIGHTS: None}
    files: dict[str, set[str] | None] = {}
    for tensor, file in _index(index).items():
        tensors = files.setdefault(file, set())
        assert tensors is not None
        tensors.add(tensor)
    if (folder / WEIGHTS).is_file() and WEIGHTS not in files:
        raise InputError(
            f"holds both {WEIGHTS} and {INDEX}, which may be two models",
            where=str(folder),
            remedy="remove the one that is not meant",
        )
    for name in sorted(files):
        if not (folder / name).is_file():
            raise IntegrityError(
                "is missing", where=str(folder / name), remedy=f"upload every shard that {INDEX} names"
            )
    return files


def _index(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_bytes())
        found = {str(tensor): str(file) for tensor, file in content["weight_map"].items()}
        if not found or "metadata" not in content or any("/" in file for file in found.values()):
            raise ValueError("no shards, no metadata, or shards in other folders")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError("is not an index of safetensors shards", where=str(path)) from error
    return found


def _header(path: Path) -> dict[str, str]:
    """Return the number type of each tensor in a file, from its header, which covers the whole file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as content:
            return {name: content.get_slice(name).get_dtype() for name in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise IntegrityError(
            "is not a whole safetensors file", where=str(path), got=one_line(error), remedy="copy it again"
        ) from error


def _require_all_weights(loaded: dict[str, Any], where: str) -> None:
    """Raise IntegrityError for missing or unknown weights, for which transformers only logs a warning."""
    faults: list[NexusError] = []
    for kind, what in (
        ("mismatched_keys", "has weights of another size than its configuration for"),
        ("missing_keys", "has no weights for"),
        ("unexpected_keys", "has weights that its configuration does not know:"),
    ):
        # a mismatched key is a tuple of name, size in the file and size of the model
        keys = loaded.get(kind) or ()
        names = sorted(str(key if isinstance(key, str) else key[0]) for key in keys)
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            faults.append(IntegrityError(f"{what} {', '.join(names[:3])}{more}", where=where))
    if faults:
        raise faults[0]
