"""Generate the references of docs/reference/ from the code, so that they cannot differ from it."""
