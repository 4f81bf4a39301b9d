"""The retry queue at its bounds: 1,000 peers that lack things, 10,000 and 100,000 waiting commits.

`python -m benchmarks.queue`: memory, the time of each pass over the rows (`rows`, in memory, no
I/O), of writing and loading them, and of starting a node on top of it all (`disk`).
"""
