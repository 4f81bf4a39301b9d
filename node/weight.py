"""Memory that was freed, given back to the system.

A node that starts takes large pieces of memory for a moment: to compile its modules where their
bytecode is not kept (4 MB in all), to read its store. The C library keeps what is freed between
pieces that stay, for later use; a node that is ready hardly has one.

Rules this module keeps:

1. Nothing depends on it: where the C library cannot give back, nothing is done.
"""

import ctypes


def give_back() -> bool:
    """Give back what is free, in a millisecond; False where this C library cannot (glibc can)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim(0)
    return True
