"""S3 and folders of this machine behave alike: every test runs on both."""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.contracts.errors import ContractError, InputError, IntegrityError
from include.contracts.manifests import ParentRef
from include.contracts.records import canonical_json, content_hash
from include.object_store import ConditionFailed, ObjectAbsent, ObjectStore, Uri
from include.object_store.locations import join
from include.object_store.verification import content_entry

STORE = ObjectStore()


def names_below(root: str, starts_with: str = "") -> list[str]:
    return [entry.uri.removeprefix(f"{root}/") for entry in STORE.list(root, starts_with)]


def test_what_was_written_is_read_back(root: str) -> None:
    uri = join(root, "folder", "name with ä %41 and space")
    etag = STORE.write(uri, b"content")
    assert STORE.read(uri) == b"content"
    assert STORE.exists(uri)
    found = STORE.stat(uri)
    assert (found.uri, found.size_bytes, found.etag) == (uri, 7, etag)
    [listed] = STORE.list(join(root, "folder"))
    assert found.modified and listed.modified
    assert abs(found.modified - listed.modified) < timedelta(
        seconds=1
    )  # the head of an object has no fraction
    STORE.write(uri, b"")
    assert STORE.read(uri) == b""
    assert STORE.stat(uri).size_bytes == 0


def test_an_absent_object_is_absent_to_every_operation(root: str, tmp_path: Path) -> None:
    uri = join(root, "no", "such")
    assert not STORE.exists(uri)
    assert STORE.find(uri) is None
    for read in (
        STORE.stat,
        STORE.read,
        STORE.reference,
        lambda uri: STORE.open(uri).read(),
        lambda uri: STORE.open_ranged(uri).read(1),
        lambda uri: STORE.read_range(uri, 0, 1),
        lambda uri: STORE.download(uri, tmp_path / "x"),
        lambda uri: STORE.copy(uri, join(root, "copy")),
        lambda uri: STORE.copy(uri, str(tmp_path / "copy")),
        lambda uri: STORE.fetch(uri, content_entry(b"", "such"), tmp_path / "x"),
    ):
        with pytest.raises(ObjectAbsent, match="no such") as caught:
            read(uri)
        assert uri in str(caught.value)
    STORE.delete(uri)
    assert STORE.delete_folder(join(root, "no")) == 0
    assert names_below(root) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_is_no_object(root: str) -> None:
    STORE.write(join(root, "folder/file"), b"x")
    assert not STORE.exists(join(root, "folder"))
    with pytest.raises(ObjectAbsent):
        STORE.read(join(root, "folder"))


@pytest.mark.parametrize(
    ("start", "size", "expected"),
    [(0, 1, b"a"), (2, 3, b"cde"), (5, 100, b"f"), (6, 1, b""), (100, 5, b""), (3, 0, b"")],
)
def test_a_range_is_shorter_only_where_the_object_ends(
    root: str, start: int, size: int, expected: bytes
) -> None:
    uri = join(root, "letters")
    STORE.write(uri, b"abcdef")
    assert STORE.read_range(uri, start, size) == expected


def test_a_ranged_stream_seeks(root: str) -> None:
    uri = join(root, "letters")
    STORE.write(uri, b"abcdef")
    with STORE.open_ranged(uri) as stream:
        assert stream.seek(-2, os.SEEK_END) == 4
        assert stream.read(2) == b"ef"
        stream.seek(1)
        assert (stream.read(2), stream.tell()) == (b"bc", 3)
        assert stream.read() == b"def"
        assert stream.read(5) == b""


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, (1 << 20) + 1, (3 << 20) + 17])
def test_a_stream_brings_every_byte_at_any_size(root: str, size: int) -> None:
    content = os.urandom(size)
    uri = join(root, "bytes")
    STORE.write(uri, content)
    with STORE.open(uri) as stream:
        parts = [stream.read(100), *iter(lambda: stream.read(1 << 18), b"")]
    assert b"".join(parts) == content
    with STORE.open(uri) as stream:
        assert stream.read() == content


def test_an_object_is_created_once(root: str) -> None:
    uri = join(root, "lock")
    etag = STORE.create(uri, b"mine")
    with pytest.raises(ConditionFailed) as caught:
        STORE.create(uri, b"yours")
    assert uri in str(caught.value)
    assert STORE.read(uri) == b"mine"
    assert STORE.stat(uri).etag == etag


def test_of_many_creators_one_wins(root: str) -> None:
    uri, won = join(root, "lock"), []

    def race(number: int) -> None:
        try:
            STORE.create(uri, str(number).encode())
        except ConditionFailed:
            return
        won.append(str(number).encode())

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [STORE.read(uri)]


def test_an_object_is_replaced_only_in_the_version_that_was_read(root: str) -> None:
    uri = join(root, "counter")
    with pytest.raises(ConditionFailed, match="expected etag 0123"):
        STORE.replace(uri, b"1", "0123")
    assert not STORE.exists(uri)
    first = STORE.create(uri, b"1")
    second = STORE.replace(uri, b"2", first)
    assert second != first
    with pytest.raises(ConditionFailed):
        STORE.replace(uri, b"3", first)
    assert STORE.read(uri) == b"2"


def test_a_failed_publication_leaves_nothing(root: str) -> None:
    uri = join(root, "folder", "file")
    with pytest.raises(RuntimeError), STORE.publish(uri) as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert names_below(root) == []
    with STORE.publish(uri) as path:
        path.write_bytes(b"whole")
        assert not STORE.exists(uri)
        assert names_below(root) == []
    assert STORE.read(uri) == b"whole"
    assert names_below(root) == ["folder/file"]


@pytest.mark.parametrize("size", [3, (64 << 20) + 5, 100 << 20])
def test_files_travel_both_ways_at_any_size(root: str, tmp_path: Path, size: int) -> None:
    (tmp_path / "up").write_bytes(os.urandom(size))
    STORE.upload(join(root, "big"), tmp_path / "up")
    etag = STORE.stat(join(root, "big")).etag
    STORE.download(join(root, "big"), tmp_path / "new" / "down", etag)
    assert digest(tmp_path / "new" / "down") == digest(tmp_path / "up")
    with STORE.local_copy(join(root, "big"), etag) as path:
        assert digest(path) == digest(tmp_path / "up")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["down"]


def digest(path: Path) -> str:
    return content_hash(path.read_bytes())


def test_a_download_of_another_version_is_refused(root: str, tmp_path: Path) -> None:
    uri = join(root, "file")
    etag = STORE.write(uri, b"old")
    STORE.write(uri, b"new")
    with pytest.raises(IntegrityError, match="not the one that the request names") as caught:
        STORE.download(uri, tmp_path / "down", etag)
    assert uri in str(caught.value)
    assert not (tmp_path / "down").exists()


def test_a_verified_fetch_leaves_no_file_that_differs_from_its_entry(root: str, tmp_path: Path) -> None:
    uri, entry = join(root, "file"), content_entry(b"promised", "file")
    for content, message in ((b"promise", "wrong size"), (b"Promised", "wrong content")):
        STORE.write(uri, content)
        with pytest.raises(IntegrityError, match=message) as caught:
            STORE.fetch(uri, entry, tmp_path / "down" / "file")
        assert uri in str(caught.value)
        assert list((tmp_path / "down").iterdir()) == []
    STORE.write(uri, b"promised")
    STORE.fetch(uri, entry, tmp_path / "down" / "file")
    assert (tmp_path / "down" / "file").read_bytes() == b"promised"


def test_a_copy_is_an_object_of_its_own(root: str, tmp_path: Path) -> None:
    source, target, here = join(root, "a/source"), join(root, "b/target"), str(tmp_path / "c" / "here")
    STORE.write(source, b"one")
    STORE.write(target, b"replaced")
    STORE.copy(source, target)
    STORE.copy(source, here)
    STORE.copy(here, join(root, "d/back"))
    STORE.write(source, b"two")
    assert [STORE.read(uri) for uri in (target, here, join(root, "d/back"))] == [b"one"] * 3
    STORE.delete(source)
    assert STORE.read(target) == b"one"


def test_objects_are_listed_in_key_order_with_their_sizes(root: str) -> None:
    for name in ("b/x", "a/y", "a-b", "é", "Z", "a0", "b/x.y/z"):
        STORE.write(join(root, name), name.encode())
    assert names_below(root) == sorted(names_below(root), key=str.encode)
    assert {entry.uri: entry.size_bytes for entry in STORE.list(root)}[join(root, "a/y")] == 3
    assert names_below(root, "a") == [name for name in names_below(root) if name.startswith("a")]
    assert names_below(root, "a/") == ["a/y"]
    assert names_below(root, "b/x") == ["b/x", "b/x.y/z"]
    assert names_below(root, "none/") == []


def test_a_neighbour_of_the_same_beginning_is_another_folder(root: str) -> None:
    STORE.write(join(root, "pile/a"), b"1")
    STORE.write(join(root, "pile2/b"), b"2")
    assert names_below(join(root, "pile")) == ["a"]
    assert [entry.uri for entry in STORE.list(join(root, "pile") + "/")] == [join(root, "pile/a")]
    assert STORE.delete_folder(join(root, "pile")) == 1
    assert names_below(root) == ["pile2/b"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.text("ab-0Z", min_size=1, max_size=2), min_size=1, max_size=4), deep=st.booleans())
def test_listing_and_deletion_agree_with_what_was_written(root: str, names: set[str], deep: bool) -> None:
    paths = {f"{name}/{inner}" for name in names for inner in ("x", "y.z")} if deep else names
    for path in paths:
        STORE.write(join(root, "all", path), path.encode())
    assert names_below(join(root, "all")) == sorted(paths, key=str.encode)
    assert STORE.delete_folder(join(root, "all")) == len(paths)
    assert names_below(join(root, "all")) == []


@pytest.mark.parametrize("form", ["s3://bucket", "s3://bucket/", "s3://bucket//", "/", "//", "file:///"])
def test_a_whole_bucket_or_disk_is_never_deleted(form: str) -> None:
    with pytest.raises(InputError, match=r"a whole (bucket|disk) is not deleted"):
        ObjectStore(object()).delete_folder(form)


@pytest.mark.parametrize("uri", ["gs://bucket/key", "http://host/x", "S3://bucket/key"])
def test_other_schemes_are_refused(uri: str) -> None:
    with pytest.raises(InputError, match="unknown scheme"):
        STORE.read(uri)


@pytest.mark.parametrize("uri", ["s3://B!/x", "s3://bucket/a/../b", "s3:///key"])
def test_a_malformed_uri_is_refused(uri: str) -> None:
    with pytest.raises(ContractError):
        STORE.read(uri)


def test_a_record_is_referenced_by_the_hash_of_its_bytes(root: str) -> None:
    uri, record = join(root, "record.json"), ParentRef("s3://bucket/x", "0" * 64)
    reference = STORE.write_record(uri, record)
    assert reference == ParentRef(uri, hashlib.sha256(canonical_json(record)).hexdigest())
    assert STORE.read_record(ParentRef, uri) == record
    assert STORE.referenced_record(ParentRef, uri, reference.sha256) == (record, reference)
    assert STORE.reference(uri) == reference
    with pytest.raises(IntegrityError, match="changed after it was announced"):
        STORE.read_record(ParentRef, uri, "1" * 64)
    STORE.write(uri, b"{}")
    with pytest.raises(ContractError, match="'uri' is missing"):
        STORE.read_record(ParentRef, uri)


def test_a_record_and_its_reference_are_of_the_same_bytes() -> None:
    """A second read might meet other bytes: those of a corpus that is built again."""
    record = ParentRef("s3://bucket/x", "0" * 64)

    class Replaced(ObjectStore):
        contents = iter([canonical_json(record), b"{}"])

        def read(self, uri: Uri) -> bytes:
            return next(self.contents)

    found = Replaced().referenced_record(ParentRef, "s3://bucket/record.json")
    assert found == (record, ParentRef("s3://bucket/record.json", content_hash(canonical_json(record))))
