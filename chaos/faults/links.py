"""What lies between nodes, cut or made to lose: iptables in each node's own network.

One table of links holds the sum of all faults of links that are in force. It is applied where
packets arrive, by the address they come from, so that each direction is cut by itself and clients
beside the nodes meet no rule.

Rules this module keeps:

1. All that is in force follows from the table; each change sets every node's rules anew, each
   node's at one moment.
2. The rules live in a chain of our own, which is gone when nothing is in force.
3. What the table comes to is noted right after it is so.
"""

import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from chaos.cluster.cluster import Member, NoNetworkError

from .fault import FaultError, Stage

CHAIN = "KITH-CHAOS"
HOOKED = ("iptables", "-C", "INPUT", "-j", CHAIN)
TIMEOUT_S = 20.0
LATE_MAX_S = 0.02
"""Up to which latency links are merely late; beyond it no promise of time is judged."""
_KEY = "links"

Pair = tuple[str, str]
"""From, to."""


@dataclass(slots=True)
class Effect:
    """What one fault does to links."""

    blocked: frozenset[Pair] = frozenset()
    loss: Mapping[Pair, float] = field(default_factory=dict)
    """The share that is lost, by pair."""
    hard: bool = False
    late: bool = False


class LinkTable:
    """All faults of links in force, by whoever put them there; one for a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._effects: dict[object, Effect] = {}
        self._lock = threading.RLock()

    @staticmethod
    def of(stage: Stage) -> "LinkTable":
        """The stage's own."""
        table = stage.held.get(_KEY)
        if not isinstance(table, LinkTable):
            table = stage.held[_KEY] = LinkTable(stage)
        return table

    def put(self, owner: object, effect: Effect) -> None:
        """Let a fault do this from now on, instead of what it did.

        Raises:
            FaultError: a node's rules could not be set; others' may be.
        """
        with self._lock:
            self._effects[owner] = effect
            self._apply()

    def take(self, owner: object) -> None:
        """End what a fault does; harmless if it does nothing. Raises FaultError."""
        with self._lock:
            if self._effects.pop(owner, None) is not None:
                self._apply()

    def clear(self) -> None:
        """End all that lies on these links, also what another process put there.

        Raises:
            FaultError: a node's rules could not be taken away.
        """
        with self._lock:
            self._effects.clear()
            self._apply()

    def again(self, node: str) -> None:
        """Set a node's rules, which its network may have lost with its process."""
        with self._lock:
            for member in self._stage.cluster.members:
                if member.name == node and self._effects:
                    self._set(member)

    def _apply(self) -> None:
        failed = self._each(self._set)
        blocked = frozenset(pair for effect in self._effects.values() for pair in effect.blocked)
        shares = [share for effect in self._effects.values() for share in effect.loss.values()]
        self._stage.notes.links(
            blocked,
            loss=max(shares, default=0.0),
            hard=any(effect.hard for effect in self._effects.values()),
            late=any(effect.late for effect in self._effects.values()),
        )
        failed += self._each(self._unhook)  # takes time, and changes nothing for packets
        if failed:
            raise FaultError("; ".join(failed))

    def _each(self, act: Callable[[Member], None]) -> list[str]:
        failed = []
        for member in self._stage.cluster.members:
            try:
                act(member)
            except NoNetworkError:
                continue  # `again` sets its rules when it has a network
            except FaultError as error:
                failed.append(str(error))
        return failed

    def _set(self, member: Member) -> None:
        rules = list(self._rules(member.name))
        # A chain that is there is emptied by `:CHAIN`, and jumps to it stay.
        hook = [] if not rules or _succeeds(member, *HOOKED) else [f"-I INPUT -j {CHAIN}"]
        lines = ["*filter", f":{CHAIN} - [0:0]", *rules, *hook, "COMMIT", ""]
        _run(member, "\n".join(lines), "iptables-restore", "--noflush")

    def _unhook(self, member: Member) -> None:
        """Take the chain away where it does nothing."""
        if not any(self._rules(member.name)):
            if _succeeds(member, *HOOKED):
                _run(member, "", "iptables", "-D", "INPUT", "-j", CHAIN)
            _run(member, "", "iptables", "-X", CHAIN)

    def _rules(self, node: str) -> Iterable[str]:
        for other in self._stage.cluster.members:
            pair = (other.name, node)
            source = f"-A {CHAIN} -s {other.address}/32"
            if any(pair in effect.blocked for effect in self._effects.values()):
                yield f"{source} -j DROP"
                continue
            for effect in self._effects.values():
                if share := effect.loss.get(pair):
                    yield f"{source} -m statistic --mode random --probability {share:.4f} -j DROP"


def between(groups: Iterable[Iterable[str]]) -> frozenset[Pair]:
    """Every pair of nodes of two different groups, both ways."""
    listed = [tuple(group) for group in groups]
    return frozenset(
        (one, other)
        for ours in listed
        for theirs in listed
        if ours is not theirs
        for one in ours
        for other in theirs
    )


def all_pairs(names: Iterable[str]) -> frozenset[Pair]:
    """Every pair of two nodes."""
    return between((name,) for name in names)


def run_inside(member: Member, given: str, *words: str) -> None:
    """Run a program of this machine in a node's network.

    Raises:
        FaultError: it failed.
    """
    _run(member, given, *words)


def _run(member: Member, given: str, *words: str) -> None:
    done = _done(member, given, *words)
    if done.returncode:
        said = " ".join(done.stderr.split())[:400]
        raise FaultError(f"{' '.join(words)} for node {member.name}: {said}")


def _succeeds(member: Member, *words: str) -> bool:
    return _done(member, "", *words).returncode == 0


def _done(member: Member, given: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = member.inside(*words)
    try:
        return subprocess.run(  # noqa: S603 - our own words, no shell
            command, input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FaultError(f"{' '.join(words)} for node {member.name}: {error}") from None
