"""What happened in a run, as checkers read it: what clients did, nodes said, and was injected.

A history is plain values and knows nothing of how it was made, so that a simulated world and a real
cluster are judged by the same checkers. Nodes go by name (`n3`), owners by the name of their node.
Times are seconds since the run began, on one clock that stands outside all nodes.
"""

import enum
from dataclasses import dataclass, field


class Action(enum.Enum):
    """What a client asked of a node."""

    REGISTER = "register"
    UPDATE = "update"
    DEREGISTER = "deregister"
    LOOKUP = "lookup"


class Outcome(enum.Enum):
    """How it ended for the client."""

    OK = "ok"
    FAILED = "failed"
    """Definitely not done: the node said so before it changed anything."""
    INDEFINITE = "indefinite"
    """Time ran out or the node died: it may have been done, or may still be."""


@dataclass(frozen=True, slots=True)
class Key:
    """An instance of a service: who owns it, its name and id."""

    owner: str
    name: str
    id: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}/{self.id}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of one client. Writes go to the owner; lookups to any node."""

    number: int
    """Counts all operations of the run; the value that a write leaves is its number."""
    action: Action
    node: str
    invoked_s: float
    completed_s: float
    """When the client knew; for an indefinite one, when it gave up."""
    outcome: Outcome
    key: Key | None = None
    """What was written; None for a lookup."""
    name: str = ""
    """For a lookup: the service that was asked for."""
    seen: tuple[tuple[Key, int], ...] = ()
    """For a lookup that is ok: each instance shown, with the number of the write that set it."""


@dataclass(slots=True)
class DocumentWrite:
    """One write to a document, through one node."""

    number: int
    """Counts them; the value that it sets fields to."""
    node: str
    invoked_s: float
    completed_s: float
    outcome: Outcome
    key: str
    counter: int
    """Of the node's writes; with the node it names this one: its dot."""
    fields: tuple[str, ...]
    """Those that it set, or removed; none: it deleted all that it had seen."""
    removes: bool
    seen: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """Each writer's counters that the node had seen, as stretches."""

    def __str__(self) -> str:
        return f"write {self.number} through {self.node}"


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What stands of a document where a node holds it."""

    key: str
    entries: tuple[tuple[str, str, int], ...]
    """Field, writer and counter, sorted; several of one field are siblings."""


class Belief(enum.Enum):
    """What a node holds of a member."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    UNREACHABLE = "unreachable"
    DEAD = "dead"
    STOPPING = "stopping"
    LEFT = "left"
    UNKNOWN = "unknown"
    """Not in its member list, or the node has just started."""


AWAY = (Belief.UNREACHABLE, Belief.DEAD)
"""Out of lookups against its own word."""


@dataclass(frozen=True, slots=True)
class Believed:
    """`node` changed its mind about `subject`. A node that starts forgets all it believed."""

    at_s: float
    node: str
    subject: str
    belief: Belief
    certified: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """`node` made `commit` the head of `owner`. `records` is a hash over all its records then."""

    at_s: float
    node: str
    owner: str
    version: tuple[int, int]
    """`(epoch, version)` of the commit."""
    commit: str
    records: str


@dataclass(frozen=True, slots=True)
class Signed:
    """`owner` signed `commit` with its own key, as seen from beside the key."""

    at_s: float
    owner: str
    version: tuple[int, int]
    commit: str
    records: str
    """A hash over all records of that state, computed without the tree; empty if not known."""
    parents: tuple[str, ...] = ()
    """The commits before; two in a merge."""
    changes: tuple[tuple[str, str], ...] | None = None
    """Each record that it set, by kind and key, with a hash of what it is then; empty: removed.

    None where that was not seen.
    """


@dataclass(frozen=True, slots=True)
class Proved:
    """`node` came to hold the proof that `owner` signed two commits that cannot both stand."""

    at_s: float
    node: str
    owner: str
    commits: tuple[str, str]
    """The two, sorted."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """`owner` heard how far `peer` holds its commits, and how far it has them on disk."""

    at_s: float
    owner: str
    peer: str
    held: tuple[int, int]
    stored: tuple[int, int]
    """`(epoch, version)`; `(-1, 0)`: none."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A row of `owner`'s retry queue, when it started or at the end of the run."""

    at_s: float
    owner: str
    peer: str
    held: tuple[int, int]
    lacks: bool
    """Whether the owner committed more."""
    next_try_s: float
    """By the run's clock; 0: none is planned."""
    under_way: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """`node` started, and its disk held `owner` at that version."""

    at_s: float
    node: str
    owner: str
    version: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """`node` knows from now on that `owner` goes on with its key of that epoch."""

    at_s: float
    node: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Theft:
    """From `at_s` on a villain uses the key of that epoch of an honest `owner`."""

    at_s: float
    owner: str
    epoch: int


class Ware(enum.Enum):
    """What a thief makes of a key, besides commits."""

    STATEMENT = "a signed vote or ack"
    DATAGRAM = "a datagram"


@dataclass(frozen=True, slots=True)
class Deceived:
    """`node` took for `owner`'s what a thief had made with its key of that epoch.

    A statement is noted up to `statement_noted_s` late: when somebody looks what stands there.
    """

    at_s: float
    node: str
    owner: str
    epoch: int
    ware: Ware


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node holds of an owner whose key was replaced."""

    owner: str
    epoch: int
    """Of its newest key event there."""
    commit: str
    records: str
    """A hash over the records, as in `Accepted`."""


class Life(enum.Enum):
    """What became of a node's process."""

    STARTED = "started"
    """Runs, with its disk as it was left."""
    DAMAGED = "damaged"
    """Its disk was wiped, put back to an old copy, or lost acknowledged writes; it is not up."""
    CRASHED = "crashed"
    STOPPED = "stopped"
    """Said goodbye and ended."""
    PAUSED = "paused"
    """Frozen, slowed or starved so much that it may not answer in time."""
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Lived:
    """A node's process changed."""

    at_s: float
    node: str
    life: Life


@dataclass(frozen=True, slots=True)
class Links:
    """From `at_s` on, these directed pairs carry nothing, and others lose up to `loss` of it.

    Each replaces the one before. `hard` says that links do worse than any limit promises for
    (heavy delay, bandwidth, clogging), so that time is not judged while it holds. `late` says that
    some datagrams, or a node's every step, take some milliseconds longer.
    """

    at_s: float
    blocked: frozenset[tuple[str, str]] = frozenset()
    loss: float = 0.0
    hard: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class RootSample:
    """At that moment `node` held these heads, and said that its root was `root`."""

    at_s: float
    node: str
    heads: str
    """A hash over the sorted `(owner, head)` pairs, computed without the tree."""
    root: str
    honest: str = ""
    """The same over the owners that are no villains; empty if not known."""


@dataclass(frozen=True, slots=True)
class View:
    """What one node that is up shows when the run is over."""

    node: str
    heads: str
    root: str
    shown: tuple[tuple[Key, int], ...]
    """Every instance that it holds, with the number of the write that set it."""
    beliefs: tuple[tuple[str, Belief], ...]
    """Of every other node."""
    honest: str = ""
    """As in `RootSample`."""
    held: tuple[tuple[str, str], ...] = ()
    """Of every owner its head, shortened, sorted; views that hold the same share one tuple.

    Empty where it was not recorded: then only `heads` can be compared.
    """
    disputed: tuple[str, ...] = ()
    """Owners with a fork that is not settled, as this node sees it."""
    proofs: tuple[tuple[str, str, str], ...] = ()
    """Every proof of a fork that it keeps, sorted: the owner and the two commits."""
    documents: tuple[DocumentState, ...] = ()
    """Every document of which something stands, by key."""
    standings: tuple[Standing, ...] = ()
    """Of every owner that replaced its key, in the order of nodes."""


@dataclass(frozen=True, slots=True)
class Diverged:
    """One record that a report of a partition names."""

    owner: str
    record: str
    """Its kind and key, as in `Signed.changes`."""
    became: str
    """`added`, `changed` or `removed`."""
    here: bool
    """Whether its owner is said to have been on the side of the node that reports."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What `node`, at the end of the run, tells of one partition that it saw."""

    node: str
    began_s: float
    """When it noticed."""
    reconciled_s: float
    """When it held again all that the others had held; infinite if it never said so."""
    exact: bool
    away: tuple[str, ...]
    """Who was cut off from it."""
    diverged: tuple[Diverged, ...]
    left: int = 0
    """Records that it counts and does not name."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """How full something bounded was at that moment."""

    at_s: float
    node: str
    table: str
    """What is bounded, ending in its unit: `members_count`, `outbox_bytes`."""
    size: int
    most: int
    """The limit that it must keep."""


@dataclass(slots=True)
class History:
    """All of it, each list in the order of time."""

    nodes: tuple[str, ...]
    villains: tuple[str, ...] = ()
    """Nodes that do not keep to the protocol; nothing they hold or say of themselves is judged."""
    heal_at_s: float = 0.0
    """When the liveness phase began: the core was healed, all other failures are for good."""
    end_s: float = 0.0
    joined: bool = True
    """Whether all who run at second 0 held each other for alive then; `beliefs` need not say so."""
    core: tuple[str, ...] = ()
    """Who is up and connected from `heal_at_s` to the end."""
    operations: list[Operation] = field(default_factory=list)
    document_writes: list[DocumentWrite] = field(default_factory=list)
    beliefs: list[Believed] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    proved: list[Proved] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    queued: list[Queued] = field(default_factory=list)
    remembered: list[Remembered] = field(default_factory=list)
    rekeyed: list[Rekeyed] = field(default_factory=list)
    thefts: list[Theft] = field(default_factory=list)
    stolen: list[Signed] = field(default_factory=list)
    """What thieves signed as commits of `owner`, with a key of its own; it is not in `signed`."""
    deceived: list[Deceived] = field(default_factory=list)
    lives: list[Lived] = field(default_factory=list)
    links: list[Links] = field(default_factory=list)
    roots: list[RootSample] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    reports: list[Reported] = field(default_factory=list)
    tables: list[TableSize] = field(default_factory=list)
