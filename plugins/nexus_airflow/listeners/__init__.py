"""Listeners: what must happen whichever process changes a task's state."""
