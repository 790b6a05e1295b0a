"""Corpus, training and gate recipes: frozen dataclasses, and packaged TOML files of each."""
