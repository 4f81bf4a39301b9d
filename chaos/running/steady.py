"""Whether a cluster is steady: all ready, all see each other alive, all hold the same root."""

from collections.abc import Iterable

from chaos.cluster.client import NoAnswerError
from chaos.cluster.cluster import Member


def why_not_steady(members: Iterable[Member], strangers: Iterable[str] = ()) -> str:
    """What is amiss, in a sentence; empty if nothing is.

    Args:
        members: who is meant to run.
        strangers: names that need not be seen alive: nodes whose keys are in other hands.
    """
    running = list(members)
    names = [member.name for member in running]
    excused = frozenset(strangers)
    roots: dict[str, list[str]] = {}
    for member in running:
        try:
            if member.call("GET", "/readyz").status != 200:
                return f"{member.name} is not ready"
            rows = member.call("GET", "/v1/peers").rows("peers")
            root = str(member.call("GET", "/v1/root").value.get("root"))
        except NoAnswerError:
            return f"{member.name} does not answer"
        alive = {str(row.get("name")) for row in rows if row.get("status") == "alive"}
        for name in names:
            if name not in alive and name not in excused:
                return f"{member.name} does not take {name} for alive"
        roots.setdefault(root, []).append(member.name)
    if len(roots) > 1:
        sides = " and ".join(" ".join(held) for held in roots.values())
        return f"different roots: {sides}"
    return ""
