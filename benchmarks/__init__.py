"""Benchmarks of the product, each measured with its peer or its limit; `make help` lists them."""
