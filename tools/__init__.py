"""Tools for the people who work on the repository. Nothing in this folder is shipped."""
