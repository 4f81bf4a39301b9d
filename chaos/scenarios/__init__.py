"""Scenarios: files that say what a cluster is put through, and what must hold all the same."""
