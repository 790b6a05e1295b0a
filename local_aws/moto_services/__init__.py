"""Calls moto for the operations that it may answer, and stores its state."""
