"""The folder of one corpus version: its layout, the version that it extends, and the tracing of tokens."""
