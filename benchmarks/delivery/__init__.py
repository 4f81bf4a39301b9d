"""Real nodes, of which some are down: whether every update gets everywhere, and how soon.

`python -m benchmarks.delivery down|ratio|concurrent`. What is judged is read off the nodes' logs:
each tells what it applied, after what and up to what (`applied`).
"""
