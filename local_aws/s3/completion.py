"""Complete a multipart upload: check the parts and checksums that the client names, describe the object."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local_aws.errors import AwsError
from local_aws.s3 import checksums
from local_aws.s3.records import ObjectRecord

MIN_PART_BYTES = 5 << 20
MAX_PARTS = 10_000


@dataclass(frozen=True)
class Upload:
    """The request that created a multipart upload; ``initiated`` in seconds since 1970.

    ``explicit`` is True if the request named the checksum algorithm. Otherwise it is S3's default.
    """

    upload_id: str
    key: str
    initiated: float
    algorithm: str
    checksum_type: str
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    explicit: bool = False


@dataclass(frozen=True)
class Part:
    """One part; ``file`` is the name of the file with its bytes."""

    number: int
    size: int
    etag: str
    modified: float
    checksums: dict[str, str]
    file: str


@dataclass(frozen=True)
class NamedPart:
    """A part as CompleteMultipartUpload names it."""

    number: int
    etag: str
    checksums: dict[str, str]


@dataclass(frozen=True)
class Completion:
    """A CompleteMultipartUpload request: parts in order, and what it claims of the whole object.

    ``checksums`` maps algorithms to base64 values. ``checksum_type`` is '' and ``size`` is None if not given.
    """

    parts: Sequence[NamedPart]
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = ""
    size: int | None = None

    def named_all_of(self, record: ObjectRecord) -> bool:
        """Tell whether this request names the very parts that ``record`` was made of."""
        if record.part_numbers and record.part_numbers != [part.number for part in self.parts]:
            return False
        try:
            if joined_etag([part.etag for part in self.parts]) != record.etag:
                return False
        except binascii.Error:
            return False
        pairs = zip(self.parts, record.parts, strict=True)
        return all(named.checksums.items() <= sums.items() for named, (_, sums) in pairs)


def joined_etag(etags: Sequence[str]) -> str:
    """Compute the ETag of an object from those of its parts. Raises binascii.Error if one is no MD5."""
    digests = b"".join(binascii.unhexlify(etag) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


def chosen_parts(upload: Upload, sent: Mapping[int, Part], completion: Completion) -> list[Part]:
    """Return the parts that the request names, in order. Raises AwsError if they do not fit what was sent."""
    if not completion.parts:
        raise AwsError("MalformedXML", "You must specify at least one part", 400)
    numbers = [part.number for part in completion.parts]
    if numbers != sorted(set(numbers)):
        raise AwsError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            400,
        )
    chosen = [_sent_part(upload, sent, name) for name in completion.parts]
    for part in chosen[:-1]:
        if part.size < MIN_PART_BYTES:
            raise AwsError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                400,
                {
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(MIN_PART_BYTES),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    return chosen


def _sent_part(upload: Upload, sent: Mapping[int, Part], name: NamedPart) -> Part:
    algorithm = upload.algorithm
    if upload.explicit and upload.checksum_type == "COMPOSITE" and algorithm not in name.checksums:
        raise AwsError(
            "InvalidRequest",
            f"The upload was created using a {algorithm.lower()} checksum. The complete request must include"
            f" the checksum for each part. It was missing for part {name.number} in the request.",
            400,
        )
    part = sent.get(name.number)
    if (
        part is None
        or part.etag != name.etag
        or any(part.checksums.get(a, value) != value for a, value in name.checksums.items())
    ):
        raise AwsError(
            "InvalidPart",
            "One or more of the specified parts could not be found. The part may not have been uploaded, "
            "or the specified entity tag may not match the part's entity tag.",
            400,
            {"PartNumber": str(name.number), "ETag": name.etag},
        )
    return part


def joined(upload: Upload, parts: Sequence[Part], completion: Completion) -> ObjectRecord:
    """Describe the object that ``parts`` make. Raises AwsError if the request claims something else of it."""
    algorithm, size = upload.algorithm, sum(part.size for part in parts)
    sums = [(part.checksums[algorithm], part.size) for part in parts]
    join = checksums.combined if upload.checksum_type == "FULL_OBJECT" else checksums.composite
    value = join(algorithm, sums)
    record = ObjectRecord(
        upload.key,
        size,
        0,
        joined_etag([part.etag for part in parts]),
        headers=upload.headers,
        metadata=upload.metadata,
        tags=upload.tags,
        checksums={algorithm: value},
        checksum_type=upload.checksum_type,
        parts=[(part.size, {algorithm: part.checksums[algorithm]}) for part in parts],
        part_numbers=[part.number for part in parts],
        upload_id=upload.upload_id,
    )
    check_claims(completion, record)
    return record


def check_claims(completion: Completion, record: ObjectRecord) -> None:
    """Raise AwsError if the request claims something else of the whole object than ``record`` says."""
    ((algorithm, value),) = record.checksums.items()
    if completion.checksum_type not in ("", record.checksum_type):
        raise AwsError(
            "InvalidRequest",
            f"The upload was created using the {record.checksum_type} checksum mode. The complete request"
            " must use the same checksum mode.",
            400,
        )
    if completion.size not in (None, record.size):
        raise AwsError(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {completion.size} does not match what was"
            f" computed: {record.size}",
            400,
        )
    for name, claimed in completion.checksums.items():
        if name != algorithm:
            raise checksums.mismatch(algorithm, name)
        # clients send composite values with and without the number of parts
        if claimed not in (value, value.partition("-")[0]):
            raise AwsError(
                "BadDigest", f"The {name} you specified did not match the calculated checksum.", 400
            )
