"""One scenario, as read: a cluster, a workload, faults on a time line, and what is expected.

Scenarios are TOML files: one reads them without knowing Python, runs one from a stranger without
running the stranger's code, and can check every field before anything starts.

    0 s                                            faults are over          settle_s
    ├── steady ──┬── workload and faults ─────────────┬── healing, quiet ──────┬── judged
    │  before    │   each from at_s, for for_s        │   steady again in time │

Rules this module keeps:

1. A scenario is plain values. Whatever is wrong with it was refused when it was read.
2. All times are seconds from the moment that the workload begins.
"""

from dataclasses import dataclass

from chaos.cluster.cluster import ClusterPlan
from chaos.faults.fault import Fault, FaultKind, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What clients do all the while."""

    writes_per_s: float = 20.0
    """Registrations, updates and deregistrations, over all nodes."""
    lookups_per_s: float = 60.0
    """Each asks one node for one service."""
    services: int = 10
    """Different names."""
    instances: int = 8
    """Of each node, registered before anything happens."""
    documents: bool = False
    """Whether a document is edited through all nodes, too."""
    pairs: bool = False
    """Whether each lookup asks a second node where the first does not answer in time: then a
    lookup has failed only if both did."""
    timeout_s: float = 2.0
    """How long a client waits for one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One fault, from when, for how long."""

    at_s: float
    for_s: float | None
    """Until it is healed; None: at the end of the faults."""
    kind: FaultKind
    table: Table
    """As the file has it, without `at`, `for` and `kind`; the report shows it."""
    fault: Fault
    victims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Something that this scenario expects besides the invariants."""

    kind: str
    """As `chaos.running.expectations` names it."""
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it."""

    name: str
    title: str
    """One line."""
    about: str
    """A paragraph: what is done, what must hold, and why that matters."""
    plan: ClusterPlan
    workload: Workload
    steps: tuple[Step, ...]
    """By `at_s`."""
    faults_s: float
    """When the faults are healed that have no end of their own; none begins later. Once all are
    healed, it is waited for the cluster to be steady."""
    settle_s: float
    """How long after that the cluster has, until it is judged."""
    steady_within_s: float = 30.0
    """How long it may take to be steady before the faults, and after them."""
    expectations: tuple[Expectation, ...] = ()
    quick: bool = False
    """Whether it belongs to the short set that is run with every change."""
    clusters: tuple[str, ...] = ("namespaces",)
    """Kinds on which it is run when all are run."""
    repeats: int = 3
    source: str = ""
    """The file's text."""
