"""What simulated clusters show at sizes that no single machine can run as processes.

`python -m benchmarks.simulation curve|loss|pauses|cluster|byzantine` takes the figures, each with a
command of its own; `… page` writes them into the documentation. The worlds are those of
`chaos.sim`: the core that real nodes run, real signatures, virtual time, everything from seeds.
"""
