"""Exact and near deduplication: signatures, candidate pairs, components, verification, survivors."""
