"""Faults, scenarios and checkers, run on nodes from outside. They arrive with a later version."""
