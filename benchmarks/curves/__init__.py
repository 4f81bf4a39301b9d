"""How lookups, registrations and memory of one node go with clients, services and instances.

Beside etcd where clients are counted: one side after the other at each size, round by round. How an
update goes with the number of nodes is measured by `benchmarks.cluster --sizes`.
"""
