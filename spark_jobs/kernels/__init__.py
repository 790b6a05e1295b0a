"""Hot loops over Arrow buffers (UTF-8 bytes and offsets), compiled by numba.

No Python runs per document here. Every kernel has a plain-Python definition in tests/spark/kernels.
"""
