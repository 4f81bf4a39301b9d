"""What lies between nodes, cut or made to lose: iptables in each node's own network.

One table of links holds the sum of all faults of links that are in force. It is applied where
packets arrive, by the address they come from, so that each direction is cut by itself and clients
beside the nodes meet no rule.

    INPUT ──▶ KITH-CHAOS   -s 10.77.0.2/32 -j DROP                                      cut
                           -s 10.77.0.3/32 -m statistic … --probability 0.1 -j DROP     lossy

Rules this module keeps:

1. All that is in force follows from the table; each change sets every node's rules anew, each
   node's at one moment, and all nodes' as nearly at one as can be.
2. The rules live in a chain of our own, which is gone where nothing is in force.
3. Bad is noted before it is done, good after: while filters change, whatever was cut or will be
   counts as cut, so that nobody is blamed for the moments in between.
4. What a filter holds is known, or looked up before it is changed.
5. A node without a network, since it does not run, is no error; `again` gives it its rules.
"""

import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chaos.cluster.cluster import ClusterError, Member, NoNetworkError

from .fault import FaultError, Stage
from .programs import Job, run_together

CHAIN = "KITH-CHAOS"
TIMEOUT_S = 20.0
LATE_MAX_S = 0.05
"""Up to which latency links are merely late; beyond it no promise of time is judged.

A round trip then takes two thirds of the time that a heartbeat's absence is borne (150 ms).
"""
LOSS_MIN = 1e-6
_KEY = "links"

Pair = tuple[str, str]
"""From, to."""


@dataclass(frozen=True, slots=True)
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
        self._in_force: dict[str, tuple[str, ...] | None] = {}
        """Rules by node; without: none of ours. None: it has to be looked up."""
        self._told = Effect()
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
            self._effects.pop(owner, None)
            self._apply()

    def clear(self) -> None:
        """End all that lies on these links, also what another process put there.

        Raises:
            FaultError: a node's rules could not be taken away.
        """
        with self._lock:
            self._effects.clear()
            self._in_force = {member.name: None for member in self._stage.cluster.members}
            self._apply()

    def again(self, node: str) -> None:
        """Set a node's rules, which its network may have lost with its process.

        Raises:
            FaultError: they could not be set.
        """
        with self._lock:
            if self._effects:
                self._in_force[node] = None
                self._apply()

    def _apply(self) -> None:
        wanted = self._sum()
        told = self._told
        self._note(
            Effect(
                told.blocked | wanted.blocked,
                {**told.loss, **_worse(told.loss, wanted.loss)},
                hard=told.hard or wanted.hard,
                late=told.late or wanted.late,
            )
        )
        self._change_filters(wanted)
        self._note(wanted)

    def _note(self, effect: Effect) -> None:
        if effect != self._told:
            self._told = effect
            worst = max(effect.loss.values(), default=0.0)
            self._stage.notes.links(effect.blocked, loss=worst, hard=effect.hard, late=effect.late)

    def _sum(self) -> Effect:
        effects = self._effects.values()
        passes: dict[Pair, float] = {}
        for effect in effects:
            for pair, share in effect.loss.items():
                passes[pair] = passes.get(pair, 1.0) * (1.0 - share)
        return Effect(
            frozenset().union(*(effect.blocked for effect in effects)),
            {pair: round(1.0 - share, 6) for pair, share in passes.items()},
            hard=any(effect.hard for effect in effects),
            late=any(effect.late for effect in effects),
        )

    def _change_filters(self, wanted: Effect) -> None:
        changes: list[tuple[Member, tuple[str, ...], Job]] = []
        failed: list[str] = []
        for member in self._stage.cluster.members:
            rules = tuple(self._rules(member.name, wanted))
            try:
                before = self._in_force.get(member.name, ())
                if before is None:
                    before = _looked_up(member)
                if script := _script(before, rules):
                    words = member.inside("iptables-restore", "--noflush")
                    changes.append((member, rules, Job(words, script)))
                self._in_force[member.name] = before
            except NoNetworkError:
                self._in_force[member.name] = None
            except (ClusterError, FaultError) as error:
                self._missed(member, str(error), failed)
        wrong = run_together([job for _, _, job in changes])
        for (member, rules, _), what in zip(changes, wrong, strict=True):
            if what:
                self._missed(member, what, failed)
            else:
                self._in_force[member.name] = rules
        if failed:
            raise FaultError("; ".join(failed))

    def _missed(self, member: Member, what: str, failed: list[str]) -> None:
        self._in_force[member.name] = None
        failed.append(f"the links of node {member.name} cannot be changed: {what}")

    def _rules(self, node: str, wanted: Effect) -> Iterable[str]:
        for other in self._stage.cluster.members:
            pair = (other.name, node)
            source = f"-A {CHAIN} -s {other.address}/32"
            share = wanted.loss.get(pair, 0.0)
            if pair in wanted.blocked:
                yield f"{source} -j DROP"
            elif share >= LOSS_MIN:
                yield f"{source} -m statistic --mode random --probability {share:.6f} -j DROP"


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


def run_inside(member: Member, given: str, *words: str) -> str:
    """Run a program of this machine in a node's network, and return what it said.

    Raises:
        FaultError: it failed.
    """
    command = member.inside(*words)
    try:
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            command, input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FaultError(f"{' '.join(words)} for node {member.name}: {error}") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[:400]
        raise FaultError(f"{' '.join(words)} for node {member.name}: {said}")
    return done.stdout


def _worse(one: Mapping[Pair, float], other: Mapping[Pair, float]) -> dict[Pair, float]:
    return {pair: max(share, one.get(pair, 0.0)) for pair, share in other.items()}


def _looked_up(member: Member) -> tuple[str, ...]:
    """What stands in a node's filter, as far as it is ours."""
    saved = run_inside(member, "", "iptables-save", "-t", "filter")
    return tuple(line for line in saved.splitlines() if CHAIN in line)


def _script(before: tuple[str, ...], rules: tuple[str, ...]) -> str:
    """What changes a filter from that to this, in one transaction; empty if it is the same."""
    if before == rules:
        return ""
    # A chain that is there is emptied by its line, and jumps to it stay.
    lines = ["*filter", f":{CHAIN} - [0:0]"]
    if not rules:
        lines += [f"-D INPUT -j {CHAIN}", f"-F {CHAIN}", f"-X {CHAIN}"]
    elif not before:
        lines.append(f"-I INPUT -j {CHAIN}")
    return "\n".join([*lines, *rules, "COMMIT", ""])
