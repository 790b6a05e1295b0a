"""Loops over Arrow buffers (UTF-8 bytes and offsets) that numba compiles to machine code.

No Python code runs for each document. tests/spark/kernels defines every kernel in plain Python.
"""
