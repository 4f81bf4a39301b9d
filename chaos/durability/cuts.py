"""Ways in which the power may go: what becomes of each change that was not synced.

Each gives, for one power cut, an `Outcome` for the disk; the random ones draw from the seed that
they are given, so a cut can be had again.
"""

from collections.abc import Callable, Mapping
from random import Random

from .disk import SECTOR, Change, Outcome, Resize, Write

Cut = Callable[[list[Change], Random], Outcome]


def nothing(pending: list[Change], rng: Random) -> Outcome:
    """Whatever was not synced is lost."""
    return lambda change: []


def everything(pending: list[Change], rng: Random) -> Outcome:
    """All was written; so it is too after kill -9, at this very moment."""
    return lambda change: [change]


def in_order(pending: list[Change], rng: Random) -> Outcome:
    """All up to some change was written, and of that one the first sectors: it is torn."""
    upto = rng.randrange(len(pending)) if pending else 0
    kept = {id(change) for change in pending[:upto]}
    torn = id(pending[upto]) if pending else 0

    def outcome(change: Change) -> list[Change]:
        if id(change) in kept:
            return [change]
        return _first_sectors(change, rng) if id(change) == torn else []

    return outcome


def in_any_order(pending: list[Change], rng: Random) -> Outcome:
    """Any of the changes, and of writes any of the sectors; lengths may grow without their data."""
    share = rng.choice((0.2, 0.5, 0.8))

    def outcome(change: Change) -> list[Change]:
        draw = rng.random()
        if not isinstance(change, Write):
            return [change] if draw < share else []
        grown: list[Change] = []
        if rng.random() < 0.5:
            size = change.offset + len(change.data)
            grown.append(Resize(change.node, size, grows_only=True))
        if draw < share * 0.7:
            return [*grown, change]
        if draw < share:
            return [*grown, *(part for part in _sectors(change) if rng.random() < 0.5)]
        return grown

    return outcome


CUTS: Mapping[str, Cut] = {
    "nothing": nothing,
    "everything": everything,
    "torn": in_order,
    "reordered": in_any_order,
}
"""By the name that a report gives them."""
REPEATS: Mapping[str, int] = {"nothing": 1, "everything": 1, "torn": 2, "reordered": 4}
"""How often each is tried at a point where something is pending."""


def _first_sectors(change: Change, rng: Random) -> list[Change]:
    if not isinstance(change, Write):
        return []
    parts = _sectors(change)
    return list(parts[: rng.randrange(len(parts) + 1)])


def _sectors(change: Write) -> list[Change]:
    """A write in pieces that end where sectors of the file end."""
    parts: list[Change] = []
    at = 0
    while at < len(change.data):
        length = SECTOR - (change.offset + at) % SECTOR
        data = change.data[at : at + length]
        parts.append(Write(change.node, change.offset + at, data))
        at += length
    return parts
