"""Fetch public shards from their servers into S3: resumable, verified, polite to servers."""
