"""Importing a library without the extras that it would take along where they are installed.

A node carries each module that it loads for as long as it lives. What is for people, such as
colours on a terminal, belongs to the command.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports within the block find none of these modules, unless they are loaded already."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        # None makes the import system raise ModuleNotFoundError (Python reference, section 5.3.1).
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
