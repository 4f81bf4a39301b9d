"""What `make bench` runs, in which order, and how long each takes.

Three modes: `quick` shows that everything runs, and little more; `standard` is what documentation
is written from; `full` has more rounds. Estimates are of two processors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Mode: TypeAlias = Literal["quick", "standard", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)
SLACK_S = 120.0
TIMES_MAX = 4.0
"""So many times its estimate, and a slack, may a suite take before it is ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a suite is run in one mode."""

    words: str
    """Its arguments."""
    minutes: float


@dataclass(frozen=True, slots=True)
class Suite:
    """One module that measures, run as `python -m MODULE ARGUMENTS --json FILE`."""

    name: str
    title: str
    module: str
    plans: Mapping[Mode, Plan]
    peers: Sequence[str] = ()
    """Programs that it compares with, or needs; see `peers`."""

    def command(self, mode: Mode) -> list[str]:
        """The words after the interpreter, without the file."""
        return ["-m", self.module, *self.plans[mode].words.split()]

    def limit_s(self, mode: Mode) -> float:
        """After that it hangs."""
        return self.plans[mode].minutes * 60.0 * TIMES_MAX + SLACK_S


def _plans(quick: Plan, standard: Plan, full: Plan) -> Mapping[Mode, Plan]:
    return {"quick": quick, "standard": standard, "full": full}


SUITES: tuple[Suite, ...] = (
    Suite(
        "lookups",
        "Lookups beside etcd's range and hypercorn",
        "benchmarks.lookups",
        _plans(
            Plan("--seconds 2 --rounds 1", 1.0),
            Plan("--seconds 4 --rounds 3", 2.5),
            Plan("--seconds 10 --rounds 7", 6.0),
        ),
        ("etcd", "wrk", "h2load"),
    ),
    Suite(
        "registrations",
        "Durable registrations beside etcd's put",
        "benchmarks.registrations",
        _plans(
            Plan("--seconds 3 --rounds 2", 0.5),
            Plan("--seconds 5 --rounds 5", 1.5),
            Plan("--seconds 15 --rounds 9", 5.0),
        ),
        ("etcd", "wrk", "h2load"),
    ),
    Suite(
        "curves",
        "One node by clients, services and instances",
        "benchmarks.curves",
        _plans(
            Plan("--seconds 1 --rounds 1 --clients 4,16 --services 100,10000", 1.5),
            Plan("--seconds 2 --rounds 1", 2.5),
            Plan("--seconds 5 --rounds 3", 9.0),
        ),
        ("etcd", "wrk"),
    ),
    Suite(
        "cluster",
        "32 nodes beside 32 Serf agents",
        "benchmarks.cluster",
        _plans(
            Plan("--nodes 8 --rounds 1 --updates 5 --kills 1 --idle 5 --sizes 4", 1.5),
            Plan("--rounds 2 --updates 30 --kills 6 --idle 15 --sizes 4,8,16", 6.0),
            Plan("--rounds 3 --updates 60 --kills 15 --idle 30 --sizes 4,8,16", 16.0),
        ),
        ("serf", "iptables"),
    ),
    Suite(
        "many",
        "100 nodes in one process beside memberlist",
        "benchmarks.many",
        _plans(
            Plan("--nodes 30 --updates 5 --rounds 1", 1.5),
            Plan("--updates 20 --rounds 1", 3.5),
            Plan("--updates 40 --rounds 3", 8.0),
        ),
        ("go", "iptables"),
    ),
    Suite(
        "watchers",
        "10,000 watchers, and a change for 1,000 of them",
        "benchmarks.watchers",
        _plans(
            Plan("--watchers 1000 --watched 100 --changes 10 --idle 3 --settle 0", 0.7),
            Plan("--idle 5", 1.0),
            Plan("--changes 200", 3.0),
        ),
    ),
    Suite(
        "delivery",
        "Updates while three of eight nodes are down",
        "benchmarks.delivery",
        _plans(
            Plan("ratio --pairs 2 --updates 10", 1.0),
            Plan("ratio --pairs 3 --updates 20", 1.0),
            Plan("ratio", 4.0),
        ),
    ),
    Suite(
        "repair",
        "Repairs, and a newcomer that fetches everything",
        "benchmarks.repair",
        _plans(
            Plan("--rounds 1 --divide 10", 0.5),
            Plan("--rounds 1 --divide 10", 0.5),
            Plan("--rounds 3", 6.0),
        ),
    ),
    Suite(
        "resolve",
        "Deciding between statements, and joining documents",
        "benchmarks.resolve",
        _plans(
            Plan("--rounds 100", 0.1),
            Plan("--rounds 300", 0.2),
            Plan("--rounds 5000", 2.0),
        ),
    ),
    Suite(
        "memory",
        "Memory and start-up of a node beside Serf and etcd",
        "benchmarks.memory",
        _plans(
            Plan("--quick", 1.0),
            Plan("", 4.0),
            Plan("", 4.0),
        ),
        ("serf", "etcd"),
    ),
    Suite(
        "queue",
        "The retry queue, full",
        "benchmarks.queue",
        _plans(
            Plan("--memory-only", 0.3),
            Plan("--memory-only", 0.3),
            Plan("", 1.5),
        ),
    ),
    Suite(
        "attacks",
        "Other clients' lookups while a node is attacked",
        "benchmarks.attacks",
        _plans(
            Plan("slow-headers garbage --rounds 1 --seconds 3", 0.5),
            Plan("slow-headers idle garbage --rounds 2 --seconds 3", 1.0),
            Plan("--rounds 5 --seconds 8", 25.0),
        ),
    ),
    Suite(
        "liar",
        "A member that lies about another beside one of Serf",
        "benchmarks.liar",
        _plans(
            Plan("once others --seconds 3 --watch 2", 0.7),
            Plan("once others greatest --seconds 5 --watch 3", 1.0),
            Plan("--rounds 3", 14.0),
        ),
        ("serf",),
    ),
)
