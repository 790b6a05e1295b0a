"""Public shards from their servers into S3: resumable, verified, polite."""
