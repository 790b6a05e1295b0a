"""S3 on plain files: objects are ``root/<bucket>/<key>``, and their metadata is under ``root/.s3``."""
