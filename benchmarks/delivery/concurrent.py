"""Many clients at once, on all nodes; then all must hold the same."""

import threading
from concurrent.futures import ThreadPoolExecutor

from .applied import account, arrival_ns
from .figures import Figures
from .town import Say, Town
from .updates import Update, make, missing

NODES, CLIENTS = 8, 32
WITHIN_S = 60.0


def measure(updates: int, say: Say) -> Figures:
    """So many updates by 32 clients, each of which asks as soon as it has its last answer.

    Raises:
        BenchError: an update is refused, or roots stay apart.
        ClusterError: the nodes do not start.
    """
    with Town(NODES) as town:
        town.wait(lambda: town.alike(town.indices), WITHIN_S, "all begin with the same")
        say(f"{NODES} nodes, {CLIENTS} clients, {updates} updates")
        made = _all_at_once(town, updates)
        begun_ns = min(one.asked_ns for one in made)
        answered_ns = max(one.answered_ns for one in made)
        same_ns = town.wait(
            lambda: town.alike(town.indices), WITHIN_S, "all hold the same root again"
        )
        say("judging what each of them applied")
        figures = Figures()
        figures.put("updates acknowledged, all concurrent", len(made))
        figures.put("… in so many commits", len({one.commit for one in made}))
        figures.put("until all were acknowledged, s", _s(answered_ns - begun_ns))
        figures.put("… updates in a second", round(len(made) / _s(answered_ns - begun_ns)))
        figures.put("until the last node had applied the last, s", _applied_s(town, made, begun_ns))
        figures.put("until all roots were seen equal, s", _s(same_ns - begun_ns))
        figures.promise("all eight roots are equal", kept=town.alike(town.indices))
        _judge(town, made, figures)
    return figures


def _all_at_once(town: Town, updates: int) -> list[Update]:
    together = threading.Barrier(CLIENTS)

    def work(number: int) -> list[Update]:
        node = number % NODES
        with town.client(node) as client:
            town.ask(node, "/healthz")
            together.wait()
            return [make(client, node, each, CLIENTS) for each in range(number, updates, CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        made = [one for its in pool.map(work, range(CLIENTS)) for one in its]
    return sorted(made, key=lambda one: one.asked_ns)


def _applied_s(town: Town, made: list[Update], begun_ns: int) -> float:
    spans = {town.name(index): town.spans(index) for index in town.indices}
    last = {one.commit[0]: max(o.commit for o in made if o.commit[0] == one.commit[0])
            for one in made}  # fmt: skip
    arrived = [at_ns for commit in last.values() for at_ns in arrival_ns(spans, commit).values()]
    return _s(max(arrived) - begun_ns)


def _judge(town: Town, made: list[Update], figures: Figures) -> None:
    lacked = [update for index in town.indices for update in missing(town, index, made)]
    figures.promise("every update shows on each of them", kept=not lacked)
    accounts = [
        account(town.spans(index), [one.commit for one in made if one.node != index])
        for index in town.indices
    ]
    figures.promise(
        "every commit applied exactly once on each of the others",
        kept=not any(one.twice or one.lacking for one in accounts),
    )
    figures.put("… as steps", sum(one.stepped for one in accounts))
    figures.put("… in a newer state", sum(one.jumped for one in accounts))
    counters = town.counters(town.indices)
    figures.put("commits resent", counters["resent"])
    figures.put("states shown", counters["states"])


def _s(ns: int) -> float:
    return round(ns / 1e9, 3)
