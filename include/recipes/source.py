"""The sources of public shards: one TOML file each, with its shards or the lists that name them.

A list is a text file of one path or URL a line, or the file tree of a Hugging Face repository, which also
publishes sizes and SHA-256. ``{…}`` in its URL is filled with the chosen values of ``choices``.
"""

from __future__ import annotations

import enum
import logging
import string
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from include.contracts.errors import NexusError, RecipeError
from include.contracts.ingestion import Checksum, ChecksumKind, Shard, name_problem, url_problem
from include.contracts.storage import CONTROL_PREFIXES
from include.recipes.loading import packaged_recipe, recipe_from_toml, recipe_names, require

log = logging.getLogger(__name__)

_FAMILY = "sources"


@dataclass(frozen=True)
class Politeness:
    """Limits on the requests to a server.

    The smallest ``max_connections`` of all sources bounds the tasks that fetch at once. ``max_attempts``
    counts tries that brought no progress. If a server asks for a longer wait than ``max_wait_seconds``, the
    batch ends: no other shard of it is asked for in this try. Fewer than ``min_bytes_per_second`` over
    ``read_timeout_seconds`` is a stall.
    """

    #: Most connections to the server at once.
    max_connections: int = 4
    #: Tries without progress before a shard is given up.
    max_attempts: int = 6
    #: First wait after a failure; it doubles.
    backoff_seconds: float = 2.0
    #: Longest wait that a server may ask for.
    max_wait_seconds: float = 600.0
    #: Longest wait for a connection.
    connect_timeout_seconds: float = 15.0
    #: Longest time without data.
    read_timeout_seconds: float = 60.0
    #: Slower transfers count as stalled.
    min_bytes_per_second: int = 1024

    def __post_init__(self) -> None:
        require(
            1 <= self.max_connections <= 16, "politeness.max_connections", "1 to 16", self.max_connections
        )
        require(1 <= self.max_attempts <= 20, "politeness.max_attempts", "1 to 20", self.max_attempts)
        for name in (
            "backoff_seconds",
            "max_wait_seconds",
            "connect_timeout_seconds",
            "read_timeout_seconds",
        ):
            value = getattr(self, name)
            require(0 < value <= 3600, f"politeness.{name}", "above 0, at most 3600", value)
        slowest = self.min_bytes_per_second
        require(0 <= slowest <= 10**9, "politeness.min_bytes_per_second", "0 to 1000000000", slowest)


@dataclass(frozen=True)
class ListedShard:
    """A shard by its URL, with at most one checksum; none if none is published, or it is not known here."""

    #: Key below the target prefix.
    name: str
    #: URL of the shard.
    url: str
    #: Published size.
    size_bytes: int | None = None
    #: Published SHA-256.
    sha256: str = ""
    #: Published MD5.
    md5: str = ""
    #: ETag that pins the version.
    etag: str = ""

    def __post_init__(self) -> None:
        _require_name("shards.name", self.name)
        _require_url("shards.url", self.url)
        size = self.size_bytes
        require(size is None or size > 0, "shards.size_bytes", "more than 0", size)
        given = [kind for kind in ChecksumKind if getattr(self, kind.value)]
        require(len(given) < 2, f"shards.{self.name}", "one of sha256, md5, etag", [k.value for k in given])

    def shard(self) -> Shard:
        """Return the shard to fetch."""
        kinds = (kind for kind in ChecksumKind if getattr(self, kind.value))
        checksum = next((Checksum(kind, getattr(self, kind.value)) for kind in kinds), None)
        return Shard(self.name, self.url, self.size_bytes, checksum)


@dataclass(frozen=True)
class Choice:
    """A part of a list's URL that the user may choose, and what is taken when nothing is chosen."""

    #: Values that may be chosen.
    values: tuple[str, ...]
    #: Values without a choice.
    default: tuple[str, ...]

    def __post_init__(self) -> None:
        require(bool(self.values), "choices.values", "at least one value", self.values)
        require(bool(self.default), "choices.default", "at least one value", self.default)
        unknown = sorted(set(self.default) - set(self.values))
        require(not unknown, "choices.default", f"some of {', '.join(self.values)}", ", ".join(unknown))


class ListingKind(enum.Enum):
    """The formats of lists."""

    LINES = "lines"
    HUGGING_FACE = "hugging_face"


@dataclass(frozen=True)
class Component:
    """A file that each entry of a list stands for: ``{path}`` in ``url`` and ``target`` is the entry.

    ``only`` limits a component to values of choices: quality signals exist only for some partitions.
    ``missing_list`` is a published list of URLs that the server does not have, though the lists name them.
    """

    #: Name of the component.
    name: str
    #: URL of a shard.
    url: str
    #: Key of a shard below the target prefix.
    target: str = "{path}"
    #: Values of choices for which the component exists.
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: URL of a published list of shards that do not exist.
    missing_list: str = ""

    def __post_init__(self) -> None:
        if self.missing_list:
            _require_url("components.missing_list", self.missing_list)


@dataclass(frozen=True)
class ChecksumList:
    """A published SHA256SUMS file; its names are relative to ``folder``, or to the source's own root."""

    #: URL of the list.
    url: str
    #: Folder to which its names are relative.
    folder: str = ""

    def __post_init__(self) -> None:
        _require_url("checksum_lists.url", self.url)


@dataclass(frozen=True)
class Listing:
    """A list of shards. ``line_prefix`` is taken off each line; a line without it is refused.

    ``include`` is a glob that an entry must match (``*`` also crosses '/').
    """

    #: URL of the list, with choices in braces.
    url: str
    #: Shards of an entry, a table each.
    components: tuple[Component, ...]
    #: Format of the list.
    kind: ListingKind = ListingKind.LINES
    #: Beginning of each line that is removed.
    line_prefix: str = ""
    #: Glob that an entry must match.
    include: str = "*"
    #: Published checksum files, a table each.
    checksum_lists: tuple[ChecksumList, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.components), "listings.components", "at least one", self.components)

    def fields(self) -> set[str]:
        """Return the choices in its URL."""
        return placeholders(self.url, "listings.url")


@dataclass(frozen=True)
class Source:
    """A public corpus. ``licence`` travels with each shard; ``raw_prefix`` is its place in the raw bucket."""

    #: Name of the source.
    name: str
    #: Title in object metadata.
    title: str
    #: URL of the data set's page.
    homepage: str
    #: Licence in object metadata.
    licence: str
    #: Prefix in the raw bucket.
    raw_prefix: str
    shards: tuple[ListedShard, ...] = ()
    listings: tuple[Listing, ...] = ()
    choices: dict[str, Choice] = field(default_factory=dict)
    politeness: Politeness = field(default_factory=Politeness)
    #: Lists are read into memory; the largest known one has 15 MB.
    max_listing_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        require(
            bool(self.name) and not name_problem(self.name), "name", "letters, digits, _ and -", self.name
        )
        _require_url("homepage", self.homepage)
        for name in ("title", "licence"):
            value = getattr(self, name)
            valid = 0 < len(value) <= 200 and value.isascii() and value.isprintable()
            require(valid, name, "1 to 200 ASCII characters: it becomes object metadata", value)
        check_prefix("raw_prefix", self.raw_prefix)
        require(bool(self.shards or self.listings), "shards", "shards or listings", "neither")
        counts = Counter(shard.name for shard in self.shards)
        twice = sorted(name for name, count in counts.items() if count > 1)
        require(not twice, "shards.name", "names that differ", ", ".join(twice))
        require(self.max_listing_bytes > 0, "max_listing_bytes", "more than 0", self.max_listing_bytes)
        for listing in self.listings:
            self._check(listing)

    def _check(self, listing: Listing) -> None:
        known, fields = set(self.choices), listing.fields()
        _require_known("listings.url", fields, known)
        _require_url("listings.url", _filled(listing.url))
        for component in listing.components:
            for name in ("url", "target"):
                template = getattr(component, name)
                _require_known(f"components.{name}", placeholders(template, name), fields | {"path"})
            _require_url("components.url", _filled(component.url))
            _require_name("components.target", _filled(component.target))
            _require_known("components.only", set(component.only), known)


def placeholders(template: str, where: str) -> set[str]:
    """Return the names in braces. Raises RecipeError for a malformed template."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise RecipeError(f"not a template ({error})", where=where, got=repr(template)) from error


def check_prefix(where: str, prefix: str) -> None:
    """Refuse an invalid prefix, and one below which quarantined or unfinished objects would be read."""
    valid = prefix.endswith("/") and not name_problem(prefix.removesuffix("/"))
    require(valid, where, "a prefix such as pile/", prefix)
    require(not prefix.startswith(CONTROL_PREFIXES), where, "no prefix of ingestion's own", prefix)


def source_names(folder: str = "") -> list[str]:
    """Return packaged sources and those of ``folder``, sorted. Raises RecipeError without that folder."""
    if folder and not Path(folder).is_dir():
        remedy = "correct ingestion.sources_folder in the settings"
        raise RecipeError("no such folder of sources", where=folder, remedy=remedy)
    own = [path.stem for path in Path(folder).glob("*.toml")] if folder else []
    return sorted({*recipe_names(_FAMILY), *own})


def strictest_connections(folder: str = "") -> int:
    """Return the number of connections that the source with the lowest limit allows.

    A source of ``folder`` that cannot be read is left out, with a warning: its own plan reports the fault,
    and the others are not delayed by it.
    """
    allowed = []
    for name in source_names(folder):
        try:
            allowed.append(load_source(name, folder).politeness.max_connections)
        except (NexusError, OSError, ValueError) as error:
            log.warning("source %s cannot be used: %s", name, error)
    return min(allowed)


def load_source(name: str, folder: str = "") -> Source:
    """Return the source ``name``, from ``folder`` if it has one; RecipeError lists the known ones."""
    path = Path(folder) / f"{name}.toml"
    if folder and not name_problem(name) and path.is_file():
        source = recipe_from_toml(Source, path.read_text(), where=str(path))
    else:
        source = packaged_recipe(Source, _FAMILY, name)
    require(source.name == name, f"{_FAMILY}/{name}.toml: name", repr(name), source.name)
    return source


def chosen(source: Source, select: Mapping[str, Collection[str]] | None) -> dict[str, tuple[str, ...]]:
    """Return the values of every choice, selected or by default. Raises RecipeError for unknown ones."""
    wanted = dict(select or {})
    _require_known("select", set(wanted), set(source.choices))
    values = {}
    for name, choice in source.choices.items():
        given = wanted.get(name, choice.default)
        given = (
            (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else ()
        )
        unknown = [value for value in given if value not in choice.values]
        require(bool(given) and not unknown, f"select.{name}", f"some of {', '.join(choice.values)}", given)
        values[name] = given
    return values


def _filled(template: str) -> str:
    return template.format(**dict.fromkeys(placeholders(template, "template"), "x"))


def _require_known(where: str, given: set[str], known: set[str]) -> None:
    expected = f"one of {', '.join(sorted(known))}" if known else "none: this source has no choices"
    require(given <= known, where, expected, ", ".join(sorted(given - known)))


def _require_name(where: str, name: str) -> None:
    problem = name_problem(name)
    require(not problem, where, f"a relative path ({problem})", name)


def _require_url(where: str, url: str) -> None:
    problem = url_problem(url)
    require(not problem, where, f"http(s)://host/path ({problem})", url)
