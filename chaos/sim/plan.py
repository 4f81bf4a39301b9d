"""All that a run is made of, drawn from its seed before it begins.

A plan is a plain value: the same plan gives the same run, on any machine. What may be drawn is in
`swarm`; what each fault does is in `faults`.
"""

import enum
from dataclasses import dataclass


class FaultKind(enum.Enum):
    """What can be done to a simulated cluster; `Fault.nodes` and `groups` say to whom."""

    SPLIT = "split"
    """`groups` cannot reach each other: two or more ways."""
    ONE_WAY = "one-way"
    """The first of two `groups` cannot send to the second."""
    RING = "ring"
    """Everyone reaches only those near it on a circle: overlapping majorities."""
    BRIDGE = "bridge"
    """Two halves that only `nodes` reach both of."""
    ISOLATE = "isolate"
    """`nodes` are each alone."""
    SWIZZLE = "swizzle"
    """The links of `nodes` are stopped one by one and restored in another order."""
    LOSS = "loss"
    """`amount` of all datagrams are lost (0 to 1)."""
    DELAY = "delay"
    """`amount` seconds are added to what `nodes` send, with as much jitter."""
    DUPLICATE = "duplicate"
    """`amount` of all datagrams arrive twice."""
    REORDER = "reorder"
    """`amount` of all datagrams are held back for up to 0.2 s."""
    REPLAY = "replay"
    """`amount` of all datagrams are followed by one that was recorded earlier, however old."""
    BANDWIDTH = "bandwidth"
    """`nodes` send at most `amount` bytes a second; more waits, then is lost."""
    CLOG = "clog"
    """What `nodes` send is held back until the fault is healed, then arrives in a burst."""
    CRASH = "crash"
    """Down at once; up again, with their disks, when healed."""
    WIPE = "wipe"
    """Down at once; up again without anything on disk but their keys."""
    OLD_DISK = "old-disk"
    """Down at once; up again with their disks as they were `amount` seconds before.

    Their key files stay: a database that was restored beside them. An old copy of both would end by
    itself, shut out by the key event that it forgot.
    """
    POWER_LOSS = "power-loss"
    """Down at once, and the disk loses what was not flushed."""
    STOP = "stop"
    """They say that they are stopping, then go; up again when healed."""
    PAUSE = "pause"
    """Frozen, and then resumed with all that waited for them."""
    HICCUPS = "hiccups"
    """`nodes` freeze for `amount` seconds at a time, again and again."""
    SLOW = "slow"
    """Every step of theirs takes `amount` seconds longer."""
    CLOCK_JUMP = "clock-jump"
    """Their wall clocks jump by `amount` seconds (negative: back), and back when healed."""
    CLOCK_DRIFT = "clock-drift"
    """Both their clocks run `amount` faster (0.1: a tenth)."""
    DISK_SLOW = "disk-slow"
    """Their disks take `amount` seconds to make something durable."""
    DISK_FULL = "disk-full"
    """Nothing can be written; registrations are refused."""
    DISK_FAIL = "disk-fail"
    """The next write fails, and the node ends as a node does whose disk fails."""
    ROTATE = "rotate"
    """`nodes` go on with their next keys, each as soon as it may, or not if that is too late."""


class Role(enum.Enum):
    """How a byzantine node departs from the protocol."""

    FORKER = "forker"
    """Signs two different commits on one parent and shows each to half of the others."""
    WITHHOLDER = "withholder"
    """Passes nothing on, and leaves commits out of what it is asked for."""
    TREE_LIAR = "tree-liar"
    """Shows made-up hashes and records when it is asked for what its trees are made of."""
    SLANDERER = "slanderer"
    """Votes against all its subjects, again and again."""
    REPLAYER = "replayer"
    """Sends again what it once received, under its own authentication and as it came."""
    FLOODER = "flooder"
    """Sends as much as it can: garbage, strangers, endless commits of its own."""
    FORGER = "forger"
    """Sends commits in the name of others, signed with its own key."""
    THIEF = "thief"
    """Has the key of the first node that rotates, and speaks in its name with it, even later."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and when it is healed."""

    kind: FaultKind
    at_s: float
    until_s: float
    nodes: tuple[int, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    amount: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run: who takes part, what goes wrong, for how long."""

    seed: int
    profile: str
    """Which mix it was drawn from: see `swarm.PROFILES`."""
    nodes: int
    membership: str = "lan"
    """The membership profile that all nodes run: `local`, `lan`, `wan` or `hostile`."""
    joined: bool = True
    """Whether all know each other from the start, or join by seeds during the run."""
    safety_s: float = 60.0
    """How long faults go on and clients write."""
    liveness_s: float = 30.0
    """How long the healed core has to converge."""
    loss: float = 0.0
    """Of datagrams, all the time; faults add to it."""
    latency_s: tuple[float, float] = (0.0008, 0.002)
    """The usual range, one way; 2 % take up to 30 ms more."""
    clients: int = 4
    operations_per_s: float = 4.0
    """Of all clients together."""
    edits_per_s: float = 0.0
    """Of documents, through all honest nodes together."""
    villains: tuple[tuple[int, Role], ...] = ()
    faults: tuple[Fault, ...] = ()
    lost: tuple[int, ...] = ()
    """Nodes that the liveness phase leaves down or cut off for good; the core is all others."""
