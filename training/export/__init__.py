"""Exports of a trained model to the formats of serving engines."""
