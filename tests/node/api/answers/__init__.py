"""Tests of what lookups keep."""
