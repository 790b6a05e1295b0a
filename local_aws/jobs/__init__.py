"""Starts and supervises job processes, which may outlive the server that started them."""
