"""Ten thousand watchers on one node: how soon a change is with those of its service.

And that the others are left alone, and what all cost while nothing happens. See docs/BENCHMARKS.md.
"""
