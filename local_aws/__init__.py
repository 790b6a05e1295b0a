"""An AWS endpoint on 127.0.0.1 that runs jobs and services on this machine, in one process on one port."""
