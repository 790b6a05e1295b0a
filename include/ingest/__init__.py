"""Fetches public shards into S3: resumable, verified, and with limits on the requests to a server."""
