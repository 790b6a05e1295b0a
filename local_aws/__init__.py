"""An AWS endpoint on this machine where the work really happens: one process, one port, 127.0.0.1 only."""
