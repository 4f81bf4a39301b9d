"""What hostile clients do to a node, and what its other clients notice of it.

The scripts are bounded in connections and in time. They run in a process of their own
(`attacker`), as attackers do, so that a good client beside them (`probe`) measures the node and not
them. `tests/cluster/test_attacks.py` asserts what noise cannot break; `python -m
benchmarks.attacks` compares how long the good client waits with and without each attack.
"""
