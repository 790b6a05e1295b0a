"""Loads DCP's checkpoint files as data, so that a forged checkpoint cannot run code in a job.

The hashes in the marker do not protect, because whoever can write the files can write them too. DCP itself
unpickles ``.metadata`` and everything but tensors, such as an optimiser's settings, without restriction.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path, PosixPath
from typing import Any

import torch
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.planner import ReadItem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.serialization import _get_layout, get_unsafe_globals_in_checkpoint

from include.contracts.errors import IntegrityError, NexusError
from training.finite import first_not_finite
from training.ranks import Agreement

#: The classes that may occur in a checkpoint's metadata besides numbers, strings, containers and dtypes.
_ADMITTED = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (
        PosixPath,
        torch.Size,
        _get_layout,
        filesystem._StorageInfo,
        metadata.BytesStorageMetadata,
        metadata.ChunkStorageMetadata,
        metadata.Metadata,
        metadata.MetadataIndex,
        metadata.StorageMeta,
        metadata.TensorProperties,
        metadata.TensorStorageMetadata,
        metadata._MEM_FORMAT_ENCODING,
    )
}
#: Errors of torch and pickle for files that are torn, or whose parts do not fit together.
_MALFORMED = (
    *(OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, RuntimeError),
    pickle.UnpicklingError,
)
_REMEDY = "find out who wrote this checkpoint; to resume from an earlier one, delete its complete.json"


class UnreadableCheckpoint(NexusError):
    """Raised for a checkpoint whose files are as its marker lists them, but malformed."""


def load_as_data(state: dict[str, Any], folder: Path, ranks: Agreement) -> None:
    """Load the checkpoint in ``folder`` into ``state``, in place, on every rank.

    Raises IntegrityError with the name of a class that is not plain data.
    """
    reader = _Reader(folder)

    def check() -> None:
        reader.read_metadata()

    ranks.together(check)  # before DCP reads it, because DCP would wrap the error
    load(state, storage_reader=reader, planner=_Planner(), process_group=ranks.group)


def not_finite(folder: Path) -> str:
    """Return the name of the first value of the checkpoint in ``folder`` that is NaN or infinite, or "".

    Values are read one at a time and do not reach the model. Raises IntegrityError as `load_as_data` does,
    and UnreadableCheckpoint if the files are malformed.
    """
    try:
        stored = _Reader(folder).read_metadata()
        for index, chunk in sorted(stored.storage_data.items(), key=lambda item: str(item[0])):
            with (folder / chunk.relative_path).open("rb") as stream:
                stream.seek(chunk.offset)
                content = io.BytesIO(stream.read(chunk.length))
            if name := first_not_finite([(index.fqn, _read_data(index.fqn, content))]):
                return name
    except _MALFORMED as error:
        raise UnreadableCheckpoint(
            "cannot be read", where=str(folder), got=f"{type(error).__name__}: {error}"
        ) from error
    return ""


def _read_data(name: str, content: io.BytesIO) -> Any:
    """Return a stored value. Raises IntegrityError if it is more than data."""
    try:
        return torch.load(content, weights_only=True)
    except pickle.UnpicklingError as error:
        content.seek(0)
        if found := get_unsafe_globals_in_checkpoint(content):
            raise _not_data(name, ", ".join(found)) from error
        raise


class _Reader(filesystem.FileSystemReader):
    def read_metadata(self) -> metadata.Metadata:
        path = Path(self.path) / filesystem._metadata_fn
        with path.open("rb") as stream:
            found = Unpickler(stream, str(path)).load()
        if not isinstance(found, metadata.Metadata):
            raise _not_data(str(path), type(found).__qualname__)
        for chunk in found.storage_data.values():
            _require_within(Path(self.path), chunk)
        if found.storage_meta is None:
            found.storage_meta = metadata.StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found


def _require_within(folder: Path, chunk: filesystem._StorageInfo) -> None:
    """Raise UnreadableCheckpoint unless a stored value lies within a file of the checkpoint."""
    name, start, size = chunk.relative_path, chunk.offset, chunk.length
    path = folder / str(name)
    is_file = path.name == name and path.is_file()
    are_numbers = all(isinstance(number, int) and number >= 0 for number in (start, size))
    if not is_file or not are_numbers or start + size > path.stat().st_size:
        raise UnreadableCheckpoint(
            "its metadata names bytes that are not in its files",
            where=str(folder / filesystem._metadata_fn),
            got=f"{size} bytes from {start} of {name!r}"[:200],
        )


class Unpickler(pickle.Unpickler):
    """An unpickler for the classes of a checkpoint's metadata. Raises IntegrityError for any other."""

    def __init__(self, stream: Any, where: str) -> None:
        super().__init__(stream)
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        if admitted := _ADMITTED.get((module, name)):
            return admitted
        if module == "torch" and isinstance(dtype := getattr(torch, name, None), torch.dtype):
            return dtype
        if (module, name) == ("builtins", "getattr"):
            return self._member
        raise _not_data(self._where, f"{module}.{name}")

    def _member(self, kind: Any, name: str) -> metadata._MEM_FORMAT_ENCODING:
        """Return the enum member of a ``getattr`` call, which early releases of Python 3.11 pickle."""
        if kind is metadata._MEM_FORMAT_ENCODING and name in kind.__members__:
            return metadata._MEM_FORMAT_ENCODING[name]
        raise _not_data(self._where, f"builtins.getattr of {getattr(kind, '__qualname__', kind)}.{name}")


class _Planner(DefaultLoadPlanner):
    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        name = read_item.dest_index.fqn
        item = _read_data(name, value)
        set_element(self.original_state_dict, self.mappings[name], item)


def _not_data(where: str, found: str) -> IntegrityError:
    return IntegrityError("holds more than data", where=where, got=found, remedy=_REMEDY)
