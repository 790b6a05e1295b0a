"""Shards of every accepted format to Arrow batches of documents, in bounded memory."""
