"""Scenarios that nobody wrote: faults drawn by a seed, within limits that are stated."""
