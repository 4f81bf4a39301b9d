"""A run, as a report needs it: everything that was done, seen, measured and judged.

Rules this module keeps:

1. It is plain values, and knows its way to JSON and back: a report can be made on another machine.
2. Times are seconds from the moment that the workload began; before it they are negative.
3. Every list is bounded; what was left out is counted.
"""

from dataclasses import dataclass, field

from chaos.verdict import Finding, Verdict

SAMPLES_MAX = 20_000
"""Of operations and of beliefs; more are thinned out evenly, failures last."""


@dataclass(frozen=True, slots=True)
class Span:
    """A fault, or a phase of the run, from when to when."""

    kind: str
    """The fault's kind; `steady`, `faults`, `healing` for phases."""
    text: str
    """One line: what, to whom."""
    nodes: tuple[str, ...]
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Said:
    """A line that was told while it ran."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of a client."""

    at_s: float
    ms: float
    node: str
    action: str
    outcome: str
    """`ok`, `failed` or `indefinite`, as in `chaos.history.Outcome`."""
    why: str = ""
    """Of one that is not ok: status and code, or what became of the connection."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`node` came to believe this of `subject`."""

    at_s: float
    node: str
    subject: str
    belief: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How an update spread: after how many seconds it was on so many of the reachable nodes."""

    at_s: float
    """When it was acknowledged."""
    owner: str
    took_s: tuple[float, ...]
    """Ascending: until one other node had it, until two had it, and so on."""
    reached_count: int = 0
    """How many other nodes its owner reached then; `took_s` is shorter if some did not get it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the worst moments, with where to read on."""

    at_s: float
    text: str
    node: str
    log: str
    """The log's file name in the run's directory; empty if there is none."""
    line: int
    """The first line at or after that moment; 0: none."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What became of an expectation."""

    text: str
    verdict: Verdict
    why: str


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One run."""

    scenario: str
    title: str
    about: str
    cluster: str
    """Its kind."""
    nodes: tuple[str, ...]
    seed: int
    started_at: str
    """RFC 3339."""
    commit: str
    versions: dict[str, str]
    """Of Kith, Python, the kernel and whatever took part."""
    replay: str
    """The command that runs it again."""
    source: str
    """The scenario's file."""
    verdict: Verdict
    reason: str
    """Of a verdict that is not `valid`: why, in one line."""
    duration_s: float = 0.0
    zero_mono_ns: int = 0
    """Second 0 on the machine's monotonic clock, as the logs of the nodes have it (`mono_ns`)."""
    spans: list[Span] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    samples_left_out: int = 0
    seen: list[Seen] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    """`noticed_s`, `healed_s`, `lookups_failed_count`, `updates_lost_count`, `operations_count`,
    … ; the unit is the last part of the name."""
    logs: dict[str, str] = field(default_factory=dict)
    """File names by node."""
    means: dict[str, str] = field(default_factory=dict)
    """By kind of fault, where there are several means, which was used: `delay: netem` or `tun`."""
