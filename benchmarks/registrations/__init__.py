"""Durable registrations over HTTP with one node, beside puts into etcd, in the same run.

`python -m benchmarks.registrations` starts one `kith node` and one member of etcd on loopback, and
loads one after the other, again and again, with 16 clients that `wrk` plays. See `sides` for what a
request is, and where the two differ and whom that favours.
"""
