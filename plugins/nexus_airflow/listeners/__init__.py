"""Listeners, which run in whichever process changes the state of a task."""
