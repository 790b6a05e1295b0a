"""Files of jobs come out of buckets and from nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from local_aws.front_door.control import Control
from local_aws.jobs.transfer import Transfer
from local_aws.settings import LocalAwsSettings


def test_a_key_that_is_a_path_of_the_host_gives_the_object(shared_local_aws: Any, tmp_path: Path) -> None:
    host = tmp_path / "host.txt"
    host.write_text("of the host")
    s3 = shared_local_aws.client("s3")
    s3.create_bucket(Bucket="transfers")
    s3.put_object(Bucket="transfers", Key=str(host), Body=b"the object")
    settings = LocalAwsSettings(shared_local_aws.root, shared_local_aws.port, cast(Control, None))
    assert Transfer(settings).download(f"s3://transfers/{tmp_path}/", tmp_path / "job") == 1
    assert [path.read_text() for path in (tmp_path / "job").rglob("*.txt")] == ["the object"]
