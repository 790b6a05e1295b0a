"""Removal of documents that contain items of evaluation benchmarks."""
