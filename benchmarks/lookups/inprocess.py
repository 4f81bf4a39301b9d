"""Lookups in this process, without HTTP: from a request to its kept answer.

The node's own `Lookups` is asked, over a registry of as many services; each answer has been given
before. The design source took 26.5 µs for what this does.
"""

import time
from random import Random
from types import SimpleNamespace
from typing import cast

from benchmarks.repair.pair import Owner, Pair
from node.api.lookup import Lookups
from node.context import NodeContext
from node.http import Request
from node.watching.hub import Hub
from node.watching.limits import WatchLimits

from .sides import SERVICES

CALLS = 2_000


def lookup_us(rounds: int) -> list[float]:
    """Microseconds for a lookup of a random service, the mean of `CALLS` in each round."""
    pair, owner = Pair(), Owner(1, SERVICES, services=SERVICES)
    pair.hold(pair.asker, owner, owner.manifest())
    # All that lookups read of a node is its machine and its id.
    context = cast(NodeContext, SimpleNamespace(peer=pair.asker, me=pair.asker.me))
    lookups = Lookups(context, Hub(WatchLimits(), Random(1)))
    names = [f"service-{number}" for number in range(SERVICES)]
    requests = [
        Request("GET", f"/v1/services/{name}", params={"name": name})
        for name in Random(1).sample(names, CALLS)
    ]
    return [_mean_us(lookups, requests) for _ in range(rounds + 1)][1:]


def _mean_us(lookups: Lookups, requests: list[Request]) -> float:
    begun = time.perf_counter()
    for request in requests:
        lookups.find(request)
    return (time.perf_counter() - begun) / len(requests) * 1e6
