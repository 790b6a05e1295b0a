"""An object may have the name of a folder of other objects: ``foo`` next to ``foo/bar``."""

from __future__ import annotations

import signal
import threading
import uuid
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from local_aws.errors import AwsError
from local_aws.s3.buckets import Buckets
from local_aws.s3.records import ObjectRecord
from local_aws.s3.store import S3Store
from local_aws.s3.walk import list_page

NESTED = ["a", "a/b", "a/b/c", "a/", "a//b"]
LONG = "n" * 254  # no file can be called that with two more letters
KEYS = [*NESTED, "b", "b/a", LONG, f"{LONG}/x", ".~a", ".~a/b", "../x", "../x/y"]


@pytest.mark.parametrize("order", list(permutations(["foo", "foo/bar", "foo/bar/baz"])))
def test_an_object_and_objects_below_it_live_together_in_any_order(
    s3: Any, bucket: str, order: tuple[str, ...]
) -> None:
    for key in order:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"key": key})
    for key in order:
        found = s3.get_object(Bucket=bucket, Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"key": key})
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == sorted(order)
    grouped = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [entry["Key"] for entry in grouped["Contents"]] == ["foo"]
    assert grouped["CommonPrefixes"] == [{"Prefix": "foo/"}]
    s3.delete_object(Bucket=bucket, Key="foo")
    assert s3.get_object(Bucket=bucket, Key="foo/bar")["Body"].read() == b"foo/bar"


def test_an_object_is_a_plain_file_again_when_nothing_is_below_it(s3: Any, bucket: str, folder: Path) -> None:
    for key in ("foo", "foo/bar"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert sorted(path.name for path in folder.iterdir()) == [".~foo", "foo"]
    s3.delete_object(Bucket=bucket, Key="foo/bar")
    assert s3.get_object(Bucket=bucket, Key="foo")["Body"].read() == b"1"
    s3.put_object(Bucket=bucket, Key="foo", Body=b"2")
    assert [path.name for path in folder.iterdir()] == ["foo"]
    assert (folder / "foo").read_bytes() == b"2"


def test_versions_tags_copies_and_uploads_work_next_to_a_folder(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="foo", Body=b"1")["VersionId"]
    s3.put_object(Bucket=bucket, Key="foo/bar", Body=b"b")
    s3.put_object(Bucket=bucket, Key="foo", Body=b"2")
    s3.put_object_tagging(Bucket=bucket, Key="foo", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object(Bucket=bucket, Key="foo", VersionId=first)["Body"].read() == b"1"
    assert s3.get_object_tagging(Bucket=bucket, Key="foo")["TagSet"]
    s3.copy_object(Bucket=bucket, Key="foo/bar/copy", CopySource=f"{bucket}/foo")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="foo/bar")["UploadId"]
    place = {"Bucket": bucket, "Key": "foo/bar", "UploadId": upload}
    part = s3.upload_part(**place, PartNumber=1, Body=b"joined")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="foo/bar")["Body"].read() == b"joined"
    current = s3.head_object(Bucket=bucket, Key="foo")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="foo", VersionId=current)
    assert s3.get_object(Bucket=bucket, Key="foo")["Body"].read() == b"1"


def test_objects_next_to_folders_survive_kill_9(local_aws_server: Any) -> None:
    s3 = local_aws_server.client("s3")
    s3.create_bucket(Bucket="bucket")
    for key in NESTED:
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    local_aws_server.restart(signal.SIGKILL)
    s3 = local_aws_server.client("s3")
    for key in NESTED:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == key.encode()


class Store(RuleBasedStateMachine):
    """Puts and deletes in any order leave what a dictionary would hold."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        self.number = 0
        buckets = Buckets(self.folder / uuid.uuid4().hex, False)
        buckets.create("bucket")
        self.store, self.bucket = S3Store(buckets, False), buckets.get("bucket")
        self.temporary = buckets.temporary
        self.expected: dict[str, bytes] = {}

    @rule(key=st.sampled_from(KEYS))
    def put(self, key: str) -> None:
        self.number += 1
        content = str(self.number).encode()
        path = self.temporary / str(self.number)
        path.write_bytes(content)
        self.store.publish(self.bucket, ObjectRecord(key, len(content), 0, "e"), path)
        self.expected[key] = content

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.expected)))
        self.store.delete(self.bucket, key)
        del self.expected[key]

    @invariant()
    def holds_what_was_put(self) -> None:
        if not hasattr(self, "expected"):
            return
        page = list_page(self.bucket, "", "", after="", skip="", limit=1000)
        assert [record.key for record in page.records] == sorted(self.expected)
        for key in KEYS:
            if key in self.expected:
                opened = self.store.open(self.bucket, key)
                with opened.file:
                    assert opened.file.read() == self.expected[key]
                assert opened.record.etag == "e"
            else:
                with pytest.raises(AwsError, match="NoSuchKey"):
                    self.store.open(self.bucket, key)


def test_puts_and_deletes_in_any_order_leave_what_a_dictionary_holds(tmp_path: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    Store.folder = tmp_path
    quick = settings(
        max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Store, settings=quick)


def test_a_reader_always_finds_an_object_while_it_moves(tmp_path: Path) -> None:
    buckets = Buckets(tmp_path / "root", False)
    buckets.create("bucket")
    store, bucket = S3Store(buckets, False), buckets.get("bucket")
    counter = iter(range(10**9))

    def put(key: str, content: bytes) -> None:
        path = buckets.temporary / str(next(counter))
        path.write_bytes(content)
        store.publish(bucket, ObjectRecord(key, len(content), 0, "e"), path)

    put("foo", b"0")
    problems: list[str] = []
    ended = threading.Event()

    def read() -> None:
        last = 0
        while not ended.is_set():
            try:
                opened = store.open(bucket, "foo")
            except AwsError as error:
                problems.append(str(error))
                return
            with opened.file:
                number = int(opened.file.read())
            if number < last:
                problems.append(f"{number} after {last}")
                return
            last = number

    def below() -> None:
        while not ended.is_set():
            put("foo/bar", b"x")
            store.delete(bucket, "foo/bar")

    threads = [threading.Thread(target=target) for target in (read, read, below, below)]
    for thread in threads:
        thread.start()
    for number in range(1, 400):
        put("foo", str(number).encode())
    ended.set()
    for thread in threads:
        thread.join()
    assert problems == []
    opened = store.open(bucket, "foo")
    with opened.file:
        assert opened.file.read() == b"399"
