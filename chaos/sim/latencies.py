"""How long things took, from a history: how soon an update was everywhere, how soon a node ready.

An update is *calm* if no link was cut and no process was down, frozen or damaged from a moment
before it was signed until it was everywhere; only those tell how fast the protocol is. The others
show what faults cost.
"""

from bisect import bisect_right

from chaos.history import AWAY, Action, History, Life, Outcome

from .result import Spread, spread

CALM_BEFORE_S = 3.0
_ENOUGH = (("update_half", 0.5), ("update_99", 0.99), ("update_all", 1.0))


def latencies_of(history: History) -> dict[str, Spread]:
    """All that can be measured, by name, in seconds."""
    found: dict[str, Spread] = {}
    calm, troubled = _updates(history)
    for place, (name, _) in enumerate(_ENOUGH):
        found[name] = spread([times[place] for times in calm])
    found["update_all_under_faults"] = spread([times[-1] for times in troubled])
    writes = [
        operation.completed_s - operation.invoked_s
        for operation in history.operations
        if operation.outcome is Outcome.OK and operation.action is not Action.LOOKUP
    ]
    found["write"] = spread(writes)
    found["wrongly_away"] = spread(_back(history))
    return found


def _updates(history: History) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    villains = frozenset(history.villains)
    troubles = _trouble_times(history)
    up = _always_up(history)
    firsts: dict[tuple[str, str], list[tuple[tuple[int, int], float]]] = {}
    for taken in history.accepted:
        firsts.setdefault((taken.owner, taken.node), []).append((taken.version, taken.at_s))
    signed = [one for one in history.signed if one.owner not in villains]
    calm: list[tuple[float, ...]] = []
    troubled: list[tuple[float, ...]] = []
    for one in signed:
        times = []
        for node in up:
            if node == one.owner:
                continue
            got = _first_at_least(firsts.get((one.owner, node), []), one.version)
            if got is None:
                break
            times.append(got - one.at_s)
        else:
            if not times:
                continue
            times.sort()
            last = len(times) - 1
            shares = tuple(times[min(last, int(share * len(times)))] for _, share in _ENOUGH)
            quiet = not _any_between(troubles, one.at_s - CALM_BEFORE_S, one.at_s + times[-1])
            (calm if quiet else troubled).append(shares)
    return calm, troubled


def _first_at_least(
    entries: list[tuple[tuple[int, int], float]], version: tuple[int, int]
) -> float | None:
    for held, at_s in entries:
        if held >= version:
            return at_s
    return None


def _trouble_times(history: History) -> list[tuple[float, float]]:
    """Spans of time in which something was wrong, in order."""
    spans: list[tuple[float, float]] = []
    begun: float | None = None
    for links in history.links:
        wrong = bool(links.blocked) or links.hard
        if wrong and begun is None:
            begun = links.at_s
        elif not wrong and begun is not None:
            spans.append((begun, links.at_s))
            begun = None
    if begun is not None:
        spans.append((begun, history.end_s))
    since: dict[str, float] = {}
    for lived in history.lives:
        if lived.life in (Life.STARTED, Life.RESUMED):
            spans.append((since.pop(lived.node, lived.at_s), lived.at_s))
        else:
            since.setdefault(lived.node, lived.at_s)
    spans += [(at_s, history.end_s) for at_s in since.values()]
    return sorted(spans)


def _any_between(spans: list[tuple[float, float]], start: float, end: float) -> bool:
    upto = bisect_right(spans, (end, float("inf")))
    return any(until >= start for _, until in spans[:upto])


def _always_up(history: History) -> list[str]:
    """Honest nodes that started once and never ended."""
    gone = {
        lived.node
        for lived in history.lives
        if lived.life in (Life.CRASHED, Life.STOPPED, Life.DAMAGED)
    }
    return [n for n in history.nodes if n not in gone and n not in history.villains]


def _back(history: History) -> list[float]:
    """How long each flag that was taken back had stood."""
    since: dict[tuple[str, str], float] = {}
    lasted = []
    for one in history.beliefs:
        pair = one.node, one.subject
        if one.belief in AWAY:
            since.setdefault(pair, one.at_s)
        elif pair in since:
            lasted.append(one.at_s - since.pop(pair))
    return lasted
