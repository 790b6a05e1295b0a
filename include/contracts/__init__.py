"""What crosses a boundary between runtimes. Standard library only."""
