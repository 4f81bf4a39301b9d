"""Updates while some nodes are down, and what those hold after their return."""

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack

from .applied import Account, account
from .figures import Figures, spread_of
from .town import Counters, Say, Town
from .updates import Update, make, missing, unconfirmed

NODES = 8
LIVE, GONE = range(5), range(5, 8)
APART = 2 * len(LIVE)
WITHIN_S = 120.0
"""From the return until all is delivered; longer is a failure."""
SAY_EVERY = 100


def measure(updates: int, over_s: float, paused: bool, say: Say) -> Figures:
    """So many updates with the live ones, spread over so long; then the others return.

    `paused`: they are stopped and go on, instead of being killed and started, so that they do not
    join anew, and what was sent to them meanwhile is still in their sockets.

    Raises:
        BenchError: an update is refused, or it takes too long until all is delivered.
        ClusterError: the nodes do not start.
    """
    with Town(NODES) as town:
        number = signal.SIGSTOP if paused else signal.SIGKILL
        say(f"{NODES} nodes; {', '.join(map(town.name, GONE))} get {number.name}")
        for index in GONE:
            town.send(index, number)
        made = _updates(town, updates, over_s, say)
        figures = Figures()
        figures.put("updates acknowledged while three of eight were down", len(made))
        figures.put("… in so many commits", len({one.commit for one in made}))
        figures.put("… over so long, s", round((made[-1].answered_ns - made[0].asked_ns) / 1e9, 1))
        _tell_queue(town, figures)
        before = town.counters(LIVE)
        returned = {index: _bring_back(town, index, paused) for index in GONE}
        say("the three are back")
        done_ns = town.wait(
            lambda: town.alike(town.indices) and town.delivered(town.indices),
            WITHIN_S,
            "all hold the same, and nothing waits for anybody",
        )
        first_ns = min(returned.values())
        figures.put(
            "from their return until all roots are equal and all queues empty, s",
            round((done_ns - first_ns) / 1e9, 2),
        )
        _tell_counters(before, town.counters(LIVE), figures)
        say("judging what each of them holds and applied")
        _judge(town, made, returned, figures)
    return figures


def _bring_back(town: Town, index: int, paused: bool) -> int:
    before_ns = time.monotonic_ns()
    if paused:
        town.send(index, signal.SIGCONT)
    else:
        town.start(index)
    return before_ns


def _updates(town: Town, count: int, over_s: float, say: Say) -> list[Update]:
    begun, made = time.monotonic(), list[Update]()
    with ExitStack() as open_ones:
        clients = [open_ones.enter_context(town.client(index)) for index in LIVE]
        for number in range(count):
            time.sleep(max(0.0, begun + over_s * number / count - time.monotonic()))
            node = number % len(LIVE)
            made.append(make(clients[node], node, number, APART))
            if len(made) % SAY_EVERY == 0:
                say(f"{len(made)} of {count} updates")
    return made


def _tell_queue(town: Town, figures: Figures) -> None:
    rows = [row for index in LIVE for row in town.waiting(index)]
    waiting = sum(count for row in rows if isinstance(count := row["waiting"], int))
    figures.put("commits that wait then, each counted for each peer that lacks it", waiting)
    figures.put("breakers open then, of 15", sum(row["breaker"] != "closed" for row in rows))


def _tell_counters(before: Counters, after: Counters, figures: Figures) -> None:
    figures.put("tries while they were down", before["attempts"])
    figures.put("… without an answer", before["failures"])
    figures.put("… commits put into them", before["resent"])
    figures.put("tries after their return", after["attempts"] - before["attempts"])
    figures.put("… commits resent in them", after["resent"] - before["resent"])
    figures.put("… states shown in them", after["states"] - before["states"])
    figures.put("receipts that owners verified", after["receipts"])


def _judge(town: Town, made: Sequence[Update], returned: dict[int, int], figures: Figures) -> None:
    commits = [one.commit for one in made]
    others = {
        index: account(town.spans(index), [c for one, c in zip(made, commits, strict=True)
                                           if one.node != index])
        for index in town.indices
    }  # fmt: skip
    back = {index: others[index] for index in GONE}
    lacked = [update for index in town.indices for update in missing(town, index, made)]
    figures.promise("every update shows on each of the eight", kept=not lacked)
    figures.promise(
        "every commit applied exactly once on each of the three",
        kept=not any(one.twice or one.lacking for one in back.values()),
    )
    figures.promise(
        "… and on each of the five",
        kept=not any(others[index].twice or others[index].lacking for index in LIVE),
    )
    figures.promise(
        "every update has the receipts of all seven peers",
        kept=not unconfirmed(town, made, NODES - 1),
    )
    _tell_return(town, back, returned, figures)


def _tell_return(
    town: Town, back: dict[int, Account], returned: dict[int, int], figures: Figures
) -> None:
    for index, one in back.items():
        took_s = round((one.whole_ns - returned[index]) / 1e9, 2)
        figures.put(
            f"{town.name(index)}: commits that came as steps, in a newer state, twice, not at all",
            f"{one.stepped:,}, {one.jumped:,}, {one.twice}, {one.lacking}",
        )
        figures.put(f"{town.name(index)}: from its return until it held all, s", took_s)
    took = [(one.whole_ns - returned[index]) / 1e9 for index, one in back.items()]
    figures.put("from their return until they held all, s", spread_of(took, 2))
    ready = [(town.ready_ns(index) - at_ns) / 1e9 for index, at_ns in returned.items()]
    if min(ready) > 0:
        figures.put("from their start until they were ready to take work, s", spread_of(ready, 2))
