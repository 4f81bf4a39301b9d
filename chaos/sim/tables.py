"""How large a node's tables are: every container in its protocol machine, found by walking it.

Nothing has to be declared, so a table that somebody adds is measured too. Containers are named by
the class and attribute that hold them; of many of one name (a branch of each owner) the largest
counts. What the world shares among its nodes (verifier, memory, signers) is not theirs.
"""

from collections import deque
from collections.abc import Sized

from protocol import limits
from protocol.peer import Peer

DEPTH_MAX = 12
MOST_FIXED, MOST_PER_NODE = 4_096, 64
"""What any table may hold that has no limit of its own: so much, and so much for each node."""
MOST = {
    "Branch.bodies": limits.RECORDS_PER_OWNER_MAX,
    "Branch.records": limits.RECORDS_PER_OWNER_MAX,
    "Branch._recent": limits.OWN_STEPS_KEPT,
}
_LEAVES = (str, bytes, int, float, bool, type(None), type)


def most(name: str, nodes: int) -> int:
    """The limit of a table in a cluster of that size."""
    return MOST.get(name, MOST_FIXED + MOST_PER_NODE * nodes)


def sizes(peer: Peer) -> dict[str, int]:
    """The length of the largest container of each name, in the order of names."""
    found: dict[str, int] = {}
    seen: dict[int, None] = {}
    waiting: list[tuple[object, str, int]] = [(peer, "Peer", 0)]
    while waiting:
        value, name, depth = waiting.pop()
        if isinstance(value, _LEAVES) or id(value) in seen or not _is_theirs(value):
            continue
        seen[id(value)] = None
        if isinstance(value, Sized) and not hasattr(value, "__dataclass_fields__"):
            found[name] = max(found.get(name, 0), len(value))
        if depth < DEPTH_MAX:
            waiting += [(part, label or name, depth + 1) for part, label in _parts(value)]
    return dict(sorted(found.items()))


def _is_theirs(value: object) -> bool:
    home = type(value).__module__
    return home in ("builtins", "collections") or home.startswith("protocol.")


def _parts(value: object) -> list[tuple[object, str]]:
    """What a value holds, with a name for what is an attribute."""
    if isinstance(value, dict):
        return [(part, "") for part in (*value.keys(), *value.values())]
    if isinstance(value, list | tuple | deque):
        return [(part, "") for part in value]
    names: dict[str, None] = dict.fromkeys(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        names |= dict.fromkeys((slots,) if isinstance(slots, str) else slots)
    owner = type(value).__name__
    return [
        (getattr(value, name), f"{owner}.{name}")
        for name in names
        if not name.startswith("__") and hasattr(value, name)
    ]
