"""Corpus, training and gate recipes: frozen dataclasses, and the TOML files beside them."""
