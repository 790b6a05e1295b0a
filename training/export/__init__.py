"""Exports of a trained model to the formats of inference runtimes."""
