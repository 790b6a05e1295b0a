"""Tokenise: examine or train the tokenizer, encode documents, write token shards, export them."""
