"""Choose and upload the shards of a demo: this machine's own text, or a folder of the user."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from demo.gather import gather
from include.contracts.errors import InputError
from include.contracts.records import content_hash
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from include.settings.loading import load_settings
from local_stack.airflow import base_environment
from local_stack.config import StackConfig

_SHOWN_LEFT_OUT = 5
#: Least size of the default corpus, as text. A model of less text may not pass the gate.
_NEEDED_BYTES = 50_000_000


@dataclass(frozen=True)
class Shards:
    """Local files and the S3 prefix for them; ``left_out`` maps a path in ``folder`` to the reason."""

    files: tuple[Path, ...]
    folder: Path
    source_uri: str
    left_out: dict[str, str]

    def __str__(self) -> str:
        size = sum(path.stat().st_size for path in self.files)
        text = f"{len(self.files)} shards, {size / 2**20:.1f} MiB compressed"
        if self.left_out:
            text += f"; left out: {_first_of(self.left_out)}"
        if len(self.left_out) > _SHOWN_LEFT_OUT:
            text += "; the full list will be in `left_out` of summary.json"
        return text


def choose_shards(config: StackConfig, data: Path | None) -> Shards:
    """Return the shards of the folder ``data``, or of this machine's own text if it is None."""
    bucket = load_settings("dev").storage.raw_bucket
    if data is None:
        folder = config.repository / "build" / "demo" / "raw"
        return Shards(machine_text(config, folder), folder, f"s3://{bucket}/machine-text/", {})
    folder = data.expanduser().resolve()
    if not folder.is_dir():
        raise InputError("no such folder", where=str(data), remedy="make demo DATA=<folder of shards>")
    accepted, left_out = _inspect(config, folder)
    if not accepted:
        got = _first_of(left_out) or "an empty folder"
        raise InputError("holds no shard", where=str(folder), got=got)
    # the same folder has the same prefix in every run, so the corpus version depends only on the shards
    prefix = f"data-{content_hash(str(folder).encode())[:12]}"
    files = tuple(folder / name for name in accepted)
    return Shards(files, folder, f"s3://{bucket}/{prefix}/", left_out)


def machine_text(config: StackConfig, folder: Path) -> tuple[Path, ...]:
    """Gather the default corpus into ``folder``. Raises InputError if it is too small for a demo."""
    environments = config.repository / ".venvs"
    shards = gather(environments, config.environments, folder)
    size = sum(shard.text_bytes for shard in shards)
    if size < _NEEDED_BYTES:
        absent = [name for name in config.environments if not (environments / name).is_dir()]
        raise InputError(
            "too little text for the demo was found",
            where=str(environments),
            expected=f"{_NEEDED_BYTES / 1e6:.0f} MB at least",
            got=f"{size / 1e6:.1f} MB" + (f", {', '.join(absent)} not set up" if absent else ""),
            remedy="run `make setup` to fill the environments, or use your own text: make demo DATA=<folder>",
        )
    return tuple(shard.path for shard in shards)


def upload(store: ObjectStore, shards: Shards) -> None:
    """Make the prefix hold exactly these shards."""
    target = S3Uri.parse(shards.source_uri)
    uris = {str(target / path.relative_to(shards.folder).as_posix()): path for path in shards.files}
    for entry in store.list(target):
        if entry.uri not in uris:
            store.delete(entry.uri)
    for uri, path in uris.items():
        store.upload(uri, path)


def _first_of(left_out: dict[str, str]) -> str:
    """List the first few files that were left out, to keep the line short."""
    shown = [f"{name} ({reason})" for name, reason in list(left_out.items())[:_SHOWN_LEFT_OUT]]
    more = len(left_out) - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)


def _inspect(config: StackConfig, folder: Path) -> tuple[list[str], dict[str, str]]:
    command = [str(config.python("spark")), "-m", "spark_jobs.readers.input_files", str(folder)]
    done = subprocess.run(command, env=base_environment(config), capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError("cannot be read", where=str(folder), got=done.stderr.strip()[-500:])
    plain = json.loads(done.stdout)
    left_out = {
        Path(path).relative_to(folder).as_posix(): reason for path, reason in plain["left_out"].items()
    }
    return list(plain["accepted"]), left_out
