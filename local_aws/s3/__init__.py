"""S3 on plain files: ``root/<bucket>/<key>``, with metadata beside the buckets under ``root/.s3``."""
