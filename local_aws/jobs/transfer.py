"""Copies files between S3 and the folders of jobs.

Listing and writing use the endpoint. Objects whose bytes are on this machine are copied by the kernel.
"""

from __future__ import annotations

import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.contracts.errors import InputError
from include.contracts.storage import S3Uri
from local_aws.s3.names import path_of
from local_aws.settings import REGION, LocalAwsSettings


class Transfer:
    """Downloads from and uploads to the S3 of this endpoint."""

    def __init__(self, settings: LocalAwsSettings) -> None:
        self._settings = settings

    @cached_property
    def s3(self) -> Any:
        """The S3 client of this endpoint."""
        return client(self._settings, "s3")

    def download(self, uri: str, target: Path) -> int:
        """Copy the object or everything under the prefix into ``target``. Return the number of files.

        Raises InputError if the bucket does not exist or holds no such object.
        """
        location = S3Uri.parse(uri)
        count = 0
        for key in self.keys(location):
            relative = key[len(location.key) :].lstrip("/") or Path(key).name
            if location.key and not location.key.endswith("/") and key != location.key:
                # the prefix 'data' also lists 'data-2/x', whose path must begin with the whole folder name
                relative = key[len(location.key.rpartition("/")[0]) :].lstrip("/")
                if key.startswith(location.key + "/"):
                    relative = key[len(location.key) + 1 :]
            if ".." in relative.split("/"):
                raise InputError("the key leads outside of the job's folder", where=uri, got=key)
            destination = target / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(S3Uri(location.bucket, key), destination)
            count += 1
        if not count:
            raise InputError("no object found", where=uri, expected="an object or a prefix with objects")
        return count

    def restore(self, uri: str, target: Path) -> int:
        """Download like ``download``, but return 0 if there is no object."""
        return self.download(uri, target) if any(self.keys(S3Uri.parse(uri))) else 0

    def upload_folder(self, folder: Path, uri: str, seen: dict[str, tuple[int, int]] | None = None) -> int:
        """Upload every file, or with ``seen`` only those whose size or time changed after the last call."""
        location = S3Uri.parse(uri)
        count = 0
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            relative = path.relative_to(folder).as_posix()
            try:
                status = path.stat()
                mark = (status.st_size, status.st_mtime_ns)
                if seen is not None and seen.get(relative) == mark:
                    continue
                self.upload_file(path, location / relative)
            except FileNotFoundError:
                continue  # the job is replacing the file; the next call uploads it
            count += 1
            if seen is not None:
                seen[relative] = mark
        return count

    def upload_file(self, path: Path, location: S3Uri) -> None:
        """Upload one file to one object. Raises InputError if S3 refuses it."""
        try:
            self.s3.upload_file(str(path), location.bucket, location.key)
        except (ClientError, boto3.exceptions.S3UploadFailedError) as error:
            raise InputError("cannot be written", where=str(location), got=str(error)) from error

    def put(self, location: S3Uri, body: bytes) -> None:
        """Write bytes to one object. Raises InputError if S3 refuses them or does not answer."""
        try:
            self.s3.put_object(Bucket=location.bucket, Key=location.key, Body=body)
        except (BotoCoreError, ClientError) as error:
            raise InputError("cannot be written", where=str(location), got=str(error)) from error

    def keys(self, location: S3Uri) -> list[str]:
        """Return the keys under a prefix in key order. Raises InputError if the bucket does not exist."""
        keys: list[str] = []
        try:
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=location.bucket, Prefix=location.key
            )
            for page in pages:
                keys += [item["Key"] for item in page.get("Contents", []) if not item["Key"].endswith("/")]
        except ClientError as error:
            raise InputError("cannot be listed", where=str(location), got=str(error)) from error
        return keys

    def _fetch(self, location: S3Uri, destination: Path) -> None:
        source = Path(path_of(self._settings.bucket(location.bucket), location.key))
        if source.is_file():
            shutil.copyfile(source, destination)
            os.utime(destination)
            return
        self.s3.download_file(location.bucket, location.key, str(destination))


def client(settings: LocalAwsSettings, service: str) -> Any:
    """Create a boto3 client of this endpoint with the local credentials."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=settings.endpoint,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
    )
