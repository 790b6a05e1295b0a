"""Keeps the memory of large tensors in the process when a CPU computes.

glibc returns a freed block of many megabytes to the system and asks for a new one at the next step, and the
system clears every page of it again. Logits alone are such blocks, so this takes a large part of a step.
"""

from __future__ import annotations

import ctypes

#: Numbers of options in glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_GIB = 2**30


def keep_freed_memory() -> bool:
    """Let freed blocks of up to 1 GiB be used again. Return False if the C library cannot do this.

    The process keeps its peak of memory until it ends, so this is only for a process that computes on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    options = {_M_MMAP_THRESHOLD: _GIB, _M_TRIM_THRESHOLD: 2 * _GIB - 1, _M_TOP_PAD: _GIB // 16}
    return all(mallopt(option, value) for option, value in options.items())
