"""The folder of one corpus version: its layout, the version it extends, and the way back from a token."""
