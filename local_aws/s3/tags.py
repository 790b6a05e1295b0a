"""The rules of S3 for the tags of objects and buckets."""

from __future__ import annotations

from collections.abc import Iterable

from local_aws.errors import AwsError

MAX_OBJECT_TAGS, MAX_BUCKET_TAGS = 10, 50
_MAX_KEY, _MAX_VALUE = 128, 256


def checked_tags(pairs: Iterable[tuple[str, str]], most: int) -> dict[str, str]:
    """Return the tags by key. Raises AwsError InvalidTag or BadRequest if S3 would refuse them."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not 1 <= len(key) <= _MAX_KEY or key.startswith("aws:"):
            raise AwsError("InvalidTag", f"The TagKey you have provided is invalid: {key[:140]!r}", 400)
        if len(value) > _MAX_VALUE:
            raise AwsError("InvalidTag", f"The TagValue of {key!r} is longer than {_MAX_VALUE}", 400)
        if key in tags:
            raise AwsError("InvalidTag", f"Cannot provide multiple Tags with the same key: {key!r}", 400)
        tags[key] = value
    if len(tags) > most:
        what = "Object" if most == MAX_OBJECT_TAGS else "Bucket"
        raise AwsError("BadRequest", f"{what} tags cannot be greater than {most}", 400)
    return tags
