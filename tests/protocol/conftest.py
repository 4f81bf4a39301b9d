"""Hypothesis on a busy machine: the same examples every time, and no deadline for each."""

from hypothesis import settings

settings.register_profile("protocol", deadline=None, derandomize=True)
settings.load_profile("protocol")
