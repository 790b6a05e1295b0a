"""Checks of results: the files of a manifest, and the answer of a served model."""
