"""Importing a library without the extras that it would take along, and without needless work.

A node carries each module that it loads for as long as it lives. What is for people, such as
colours on a terminal, belongs to the command.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOADING_THRESHOLDS = (10_000, 20, 50)
"""When the collector looks while modules are loaded; Python's own are 700, 10, 10."""


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


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look seldom for cycles of garbage within the block: what modules make stays.

    Looking as often as Python does takes a twelfth of the time in which a node loads its modules;
    not looking at all would cost it 1 MB.
    """
    before = gc.get_threshold()
    gc.set_threshold(*LOADING_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
