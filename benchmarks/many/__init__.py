"""A hundred nodes in one process, beside a hundred members of memberlist in one process.

Each node has sockets of its own: what travels goes through the kernel, over loopback. See `town`
for what of a node is there and what is not.
"""
