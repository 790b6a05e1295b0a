"""List the shards of a source: those in its file, and those in its published lists."""

from __future__ import annotations

import fnmatch
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.contracts.errors import ContractError, InputError
from include.contracts.ingestion import Checksum, ChecksumKind, Shard
from include.ingest.addresses import shown
from include.ingest.backoff import Sleep, persist
from include.ingest.errors import SourceRefused
from include.ingest.pace import Pace
from include.ingest.ranges import OK
from include.ingest.source_client import Hop, SourceClient
from include.recipes.source import Component, Listing, ListingKind, Source

_SHA256_LINE = re.compile(r"([0-9A-Fa-f]{64}) [ *](?:\./)?(\S+)")
_NEXT_PAGE = re.compile(r'<([^>]+)>\s*;\s*rel="next"')
_MAX_PAGES = 2000
#: Entries of all lists of a source together: 40 snapshots of RedPajama V2 have as many.
_MOST_ENTRIES = 2_000_000
#: Values in one page of a file tree; a page of Hugging Face has about ten for each of 1000 files.
_MOST_VALUES = 1_000_000


@dataclass(frozen=True)
class Entry:
    """One line of a list; None and '' for what the line does not say."""

    path: str
    size_bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class _Page:
    """A list or a page of one, its Link header, and its sender."""

    text: str
    link: str
    hop: Hop


class Lists:
    """A reader of the lists of one source. Their total size is limited."""

    def __init__(self, source: Source, client: SourceClient, sleep: Sleep = time.sleep) -> None:
        self._source = source
        self._client = client
        self._sleep = sleep
        self._bytes_left = source.max_listing_bytes
        self._entries_read = 0
        self._missing: dict[str, frozenset[str]] = {}
        #: Shards that the lists name and that a published list of missing files names too.
        self.left_out = 0

    def shards(self, values: Mapping[str, tuple[str, ...]]) -> list[Shard]:
        """Return all shards of the chosen ``values``, by name. Raises InputError for an unusable list."""
        found = [listed.shard() for listed in self._source.shards]
        for listing in self._source.listings:
            sums = self._checksums(listing)
            for of_one in _combinations(listing, values):
                for entry in self._entries(listing, of_one):
                    self._entries_read += 1
                    _require_fewer(self._entries_read, _MOST_ENTRIES, listing.url)
                    if fnmatch.fnmatchcase(entry.path, listing.include):
                        summed = replace(entry, sha256=entry.sha256 or sums.get(entry.path, ""))
                        found += self._of_entry(listing, summed, of_one, values)
        return _without_repetition(found)

    def _of_entry(
        self,
        listing: Listing,
        entry: Entry,
        of_one: Mapping[str, str],
        values: Mapping[str, tuple[str, ...]],
    ) -> Iterator[Shard]:
        """Return the components of an entry; ``of_one`` fills this list's URL, ``values`` has all choices."""
        checksum = Checksum(ChecksumKind.SHA256, entry.sha256) if entry.sha256 else None
        for component in listing.components:
            if _is_wanted(component, of_one, values):
                name = component.target.format(path=entry.path, **of_one)
                url = component.url.format(path=entry.path, **of_one)
                if url in self._missing_of(component):
                    self.left_out += 1
                    continue
                try:
                    yield Shard(name, url, entry.size_bytes, checksum)
                except ContractError as error:
                    raise InputError(
                        f"the list names what may not be fetched ({error})",
                        where=listing.url,
                        remedy="tell the publisher; leave the list out of a copy in ingestion.sources_folder",
                    ) from error

    def _missing_of(self, component: Component) -> frozenset[str]:
        url = component.missing_list
        if url not in self._missing:
            lines = _lines(self._read(url).text, url) if url else []
            self._missing[url] = frozenset(line.strip() for line in lines)
        return self._missing[url]

    def _entries(self, listing: Listing, values: Mapping[str, str]) -> Iterator[Entry]:
        url = listing.url.format(**values)
        if listing.kind is ListingKind.HUGGING_FACE:
            yield from self._tree(url)
            return
        for number, line in enumerate(_lines(self._read(url).text, url), 1):
            path = line.strip()
            if not path:
                continue
            if not path.startswith(listing.line_prefix):
                raise InputError(
                    "a line has another form",
                    where=f"{url}, line {number}",
                    expected=f"a line that begins with {listing.line_prefix}",
                    got=f"another line of {len(path)} characters",
                    remedy="compare the list with line_prefix of the source",
                )
            yield Entry(path.removeprefix(listing.line_prefix))

    def _tree(self, url: str) -> Iterator[Entry]:
        """Yield the entries of a Hugging Face file tree; ``oid`` under ``lfs`` is the SHA-256 of the file."""
        page, after = url, None
        for _ in range(_MAX_PAGES):
            read = self._read(page, after)
            yield from (_of_tree(node) for node in _nodes(read.text, url) if node.get("type") == "file")
            following = _NEXT_PAGE.search(read.link)
            if following is None:
                return
            page, after = following[1], read.hop
        raise InputError("the list does not end", where=url, expected=f"at most {_MAX_PAGES} pages")

    def _checksums(self, listing: Listing) -> dict[str, str]:
        """Return SHA-256 by path, from SHA256SUMS files with names relative to their folder or the root."""
        sums: dict[str, str] = {}
        for published in listing.checksum_lists:
            for number, line in enumerate(_lines(self._read(published.url).text, published.url), 1):
                if not line.strip():
                    continue
                match = _SHA256_LINE.fullmatch(line.strip())
                if not match:
                    where = f"{published.url}, line {number}"
                    raise InputError("not a line of sha256sum", where=where, expected="digest and path")
                folder = f"{published.folder}/" if published.folder else ""
                sums[f"{folder}{match[2].removeprefix(folder)}"] = match[1].lower()
        return sums

    def _read(self, url: str, after: Hop | None = None) -> _Page:
        """Read the list at ``url``, which the catalogue names, or the page that follows ``after``."""
        return persist(lambda: self._read_once(url, after), self._source.politeness, self._sleep)

    def _read_once(self, url: str, after: Hop | None) -> _Page:
        content = bytearray()
        with self._client.open(url, after=after) as answer:
            if answer.answered.status != OK:
                raise SourceRefused(
                    "the server sent only a part of the list", where=url, got=str(answer.answered.status)
                )
            pace = Pace(shown(url), shown(url), self._source.politeness)
            for chunk in answer.chunks():
                content += chunk
                pace.came(len(chunk), len(content), answer.answered.validator.size_bytes)
                if len(content) > self._bytes_left:
                    raise SourceRefused(
                        "the lists are too long",
                        where=url,
                        expected=f"at most {self._source.max_listing_bytes} bytes together",
                        remedy="select less; or raise max_listing_bytes of the source",
                    )
            link, hop = answer.link, answer.hop
        self._bytes_left -= len(content)
        try:
            return _Page(content.decode(), link, hop)
        except UnicodeDecodeError as error:
            raise InputError(f"the list is not text ({error})", where=url) from error


def _lines(text: str, url: str) -> list[str]:
    """Return lines that end in a line feed; they are counted before they are split."""
    _require_fewer(text.count("\n"), _MOST_ENTRIES, url)
    return text.split("\n")


def _require_fewer(count: int, most: int, url: str) -> None:
    if count > most:
        raise SourceRefused(
            "the lists have too many entries",
            where=url,
            expected=f"at most {_MOST_ENTRIES} entries together, {_MOST_VALUES} values in a page",
            remedy="select less; or tell the publisher",
        )


def _of_tree(node: Mapping[str, Any]) -> Entry:
    lfs = node.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    size, oid = lfs.get("size", node.get("size")), str(lfs.get("oid", ""))
    is_sha256 = bool(re.fullmatch("[0-9a-f]{64}", oid))
    is_size = isinstance(size, int) and size >= 0
    return Entry(str(node.get("path", "")), size if is_size else None, oid if is_sha256 else "")


def _nodes(text: str, url: str) -> list[dict[str, Any]]:
    # a value follows a comma or an opening bracket: values are counted before they take memory
    _require_fewer(sum(map(text.count, ",[{")), _MOST_VALUES, url)
    try:
        nodes = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the list is not valid JSON ({error})", where=url) from error
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise InputError("the list is not a file tree", where=url, expected="a list of objects")
    return nodes


def _combinations(listing: Listing, values: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    names = sorted(listing.fields())
    for combination in itertools.product(*(values[name] for name in names)):
        yield dict(zip(names, combination, strict=True))


def _is_wanted(
    component: Component, of_one: Mapping[str, str], values: Mapping[str, tuple[str, ...]]
) -> bool:
    """Return True if the choices include a component; one that the list's URL fixes is its one value."""
    return all(
        set(allowed) & ({of_one[name]} if name in of_one else set(values[name]))
        for name, allowed in component.only.items()
    )


def _without_repetition(found: list[Shard]) -> list[Shard]:
    by_name: dict[str, Shard] = {}
    for shard in found:
        other = by_name.setdefault(shard.name, shard)
        if other != shard:
            raise InputError(
                "two shards have the same name",
                where=shard.name,
                got=f"{other.url} and {shard.url}",
                remedy="give the components targets that differ",
            )
    return [by_name[name] for name in sorted(by_name)]
