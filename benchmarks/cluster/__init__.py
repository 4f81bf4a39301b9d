"""Real nodes, a process each, beside Serf agents on the same machine in the same run.

`python -m benchmarks.cluster` (or `make bench-cluster`) measures joining, an update, the detection
of a crash, and what an idle node costs. See `measure` for what each figure is, and `serf` for where
the methods differ and whom that favours.
"""
