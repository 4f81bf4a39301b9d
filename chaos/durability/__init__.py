"""Nothing acknowledged is lost: real nodes under power cuts and kill -9.

`sweep` lets the power fail at every point of a recorded run, on a model of the disk; `killing` ends
real nodes under load, again and again. Both know from the clients' own ledger what must be there.
How to use them: docs/TESTING.md.
"""
