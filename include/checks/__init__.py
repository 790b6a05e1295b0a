"""Checks of what is there: the files of a manifest, the answer of a served model."""
