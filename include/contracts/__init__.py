"""The records and names that cross a boundary between runtimes. Standard library only."""
