"""Deterministic simulation: whole clusters of the real protocol in one process, by seed."""
