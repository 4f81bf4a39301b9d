"""Host names of nodes, and the name server that they ask, which can be made to lie or be silent.

    a.kith.test     the address of node a; `.test` is nobody's on the internet (RFC 6761)

    node ─▶ its /etc/resolv.conf ─▶ name server beside the switch or at the bridge ─▶ by who asks

Nodes find nothing else by it: it asks no other server. It runs as long as the cluster, outside all
nodes, so that it is there however they end and start; no fault of links lies in between.
"""

from .serving import RESOLV_CONF, HostNames, host_name, why_not

__all__ = ("RESOLV_CONF", "HostNames", "host_name", "why_not")
