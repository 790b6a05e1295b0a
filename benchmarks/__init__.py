"""Benchmarks of the product, each run with its peer or its limit; `make help` lists them."""
