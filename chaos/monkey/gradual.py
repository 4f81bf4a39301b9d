"""How much of a fault a cluster bears: the same scenario at rising rates, until one is not valid.

Beside the invariants each step expects what a user would: no update lost, nobody who lives taken
for gone for longer than P4 allows, and, where all nodes run all the while, all lookups answered and
nine of ten writes acknowledged. The checkers judge P4 and P5 only up to some loss and latency, so
without these a ramp would never end.

Rules this module keeps:

1. It stops at the first run that is not valid; no higher rate is claimed from luck.
2. A step's figures are of the time of its fault alone, but for how it healed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chaos.cli.durations import format_s, parse_s
from chaos.faults.fault import UnreadableFaultError, Value
from chaos.reports.pictures.membership import AWAY
from chaos.reports.quantiles import LOOKUP, OK, kind_of
from chaos.reports.series.climb import Climb, Step
from chaos.reports.times import faults_of, window_of
from chaos.running.figures import rank
from chaos.running.judging import REAL
from chaos.running.record import RunRecord
from chaos.scenarios.reading import UnreadableScenarioError, Vocabulary, read
from chaos.scenarios.scenario import Scenario
from chaos.verdict import Verdict

from .writing import text_of

BEGIN_S, FAULT_S = 3, 20
RUN_S = 40
"""About so long a step takes, with start, healing and judging."""
RATES_MAX = 30
_MANY = 1_000_000

Table = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Ramp:
    """A fault with rates."""

    kind: str
    """Of the fault."""
    title: str
    phrase: str
    """A rate in a sentence; `{}` stands for it."""
    nobody_gone: bool
    """Whether no node is ever gone in it."""
    about: str
    """What is done at each step, and up to where times are promised."""
    rates: tuple[str, ...]
    """Those that are tried if nobody says others, ascending."""
    example: str
    """Rates as one types them."""
    fields_of: Callable[[str, int], Table]
    """The fault's fields, from a rate and the number of nodes. Raises ValueError."""


def _loss(rate: str, _nodes: int) -> Table:
    number = rate.removesuffix("%")
    if number == rate or not number.replace(".", "", 1).isdigit():
        raise ValueError("a share is a number and %, such as 30%")
    return {"share": round(float(number) / 100, 6)}


def _delay(rate: str, _nodes: int) -> Table:
    return {"latency": format_s(parse_s(rate))}


def _crashes(rate: str, nodes: int) -> Table:
    return {"every": format_s(parse_s(rate)), "down": "2s", "most": nodes - 1}


RAMPS: Mapping[str, Ramp] = {
    "loss": Ramp(
        "loss", "packets lost", "{} of packets lost", nobody_gone=True,
        about="That share of all packets between nodes is lost. P4 and P5 promise times up to 30 % "
        "and 10 %; beyond, the expectations alone judge.",
        rates=("5%", "10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%"),
        example="5%,25%,45%", fields_of=_loss,
    ),
    "delay": Ramp(
        "delay", "latency in each direction", "{} of latency in each direction", nobody_gone=True,
        about="All packets between nodes come so much later, in each direction. P4 and P5 promise "
        "times up to 50 ms; beyond, the expectations alone judge.",
        rates=("10ms", "50ms", "100ms", "200ms", "400ms", "800ms", "1600ms", "3200ms"),
        example="50ms,150ms,1s", fields_of=_delay,
    ),
    "crashes": Ramp(
        "crash-storm", "time between two kills", "a node killed every {}", nobody_gone=False,
        about="A drawn node is killed so often and is down for 2 s; one at least is left.",
        rates=("8s", "6s", "4s", "3s", "2s", "1s", "500ms"),
        example="5s,2500ms", fields_of=_crashes,
    ),
}  # fmt: skip
"""By name."""


def shown(rate: str) -> str:
    """A rate as people write it: `30 %`, `200 ms`."""
    number = rate.rstrip("%mshd")
    return f"{number} {rate.removeprefix(number)}"


def about(ramp: Ramp) -> str:
    """What a step is, and what has to hold in it."""
    clients = "all lookups answered, nine of ten writes acknowledged, " if ramp.nobody_gone else ""
    return (
        f"{ramp.about} Each step is a run of its own on a new cluster: {BEGIN_S} s of calm, "
        f"{FAULT_S} s of the fault, then healing. It holds if every invariant does, with "
        f"{clients}no update lost, and no live node taken for gone for longer than "
        f"{REAL.wrongly_unreachable_s:g} s."
    )


def rates_of(name: str, text: str) -> tuple[str, ...]:
    """Rates as somebody typed them, with commas between.

    Raises:
        ValueError: one is none, or there are too many; the message says what is right.
    """
    ramp = RAMPS[name]
    rates = tuple(word.strip().replace(" ", "") for word in text.split(","))
    if len(rates) > RATES_MAX:
        raise ValueError(f"{len(rates)} rates; {RATES_MAX} can be")
    for rate in rates:
        try:
            ramp.fields_of(rate, 2)
        except ValueError as error:
            raise ValueError(f"{rate[:32]!r}: {error}; write {ramp.example}") from None
    return rates


def scenarios_of(
    name: str, names: Sequence[str], vocabulary: Vocabulary, rates: Sequence[str] = ()
) -> list[Scenario]:
    """One for each rate, all read before any is run.

    Raises:
        KeyError: there is no such ramp.
        ValueError: the fault knows no such rate, with the reason.
    """
    ramp = RAMPS[name]
    found = []
    for place, rate in enumerate(rates or ramp.rates, 1):
        fault: Table = {"kind": ramp.kind, **ramp.fields_of(rate, len(names))}
        document: Table = {
            "title": ramp.phrase.replace("{}", shown(rate)).capitalize(),
            "about": about(ramp),
            "cluster": {"names": list(names)},
            "time": {"faults": f"{BEGIN_S + FAULT_S}s"},
            "fault": [{**fault, "at": f"{BEGIN_S}s", "for": f"{FAULT_S}s"}],
            "expect": [*_expected(ramp)],
        }
        try:
            found.append(read(f"gradual-{name}-{place}", text_of(document), vocabulary))
        except (UnreadableScenarioError, UnreadableFaultError) as error:
            raise ValueError(f"{rate[:32]!r}: {error}") from None
    return found


def _expected(ramp: Ramp) -> list[Table]:
    longest = format_s(REAL.wrongly_unreachable_s)
    tables: list[Table] = [
        {"kind": "updates-lost", "most": 0},
        {"kind": "nobody-away", "most": _MANY, "longest": longest, "slow-links": True},
    ]
    if ramp.nobody_gone:
        tables += [{"kind": "lookups-failed", "most": 0}, {"kind": "writes-go-on", "share": 0.9}]
    return tables


def steps(
    rates: Sequence[str], scenarios: Sequence[Scenario], run: Callable[[Scenario], RunRecord]
) -> Iterator[tuple[Step, RunRecord]]:
    """Run one rate after another until one is not valid. Raises whatever `run` does."""
    for rate, scenario in zip(rates, scenarios, strict=True):
        record = run(scenario)
        yield Step(shown(rate), record.verdict, record.reason, figures_of(record)), record
        if record.verdict is not Verdict.VALID:
            break


def placed(step: Step, run: str) -> Step:
    """The step with the directory of its run."""
    return replace(step, run=run)


def figures_of(record: RunRecord) -> dict[str, float]:
    """What a step is shown by.

    `coverage_…_s`       until updates of that time were on all nodes that could be reached
    `updates_short_count` of those, how many were not for as long as was waited for them
    `lookups_failed_count`, `writes_undone_count`   by nodes that ran
    `gone_count`, `gone_longest_s`    how often, and how long, somebody was taken for gone
    """
    begin_s = min((one.begin_s for one in faults_of(record)), default=0.0)
    end_s = max((one.end_s for one in faults_of(record)), default=0.0)
    spread = [one for one in record.coverage if begin_s <= one.at_s < end_s]
    whole = sorted(one.took_s[-1] for one in spread if len(one.took_s) == one.reached_count)
    found: dict[str, float] = {}
    if spread:
        found |= {"updates_count": len(spread), "updates_short_count": len(spread) - len(whole)}
    if whole:
        found |= {"coverage_p50_s": rank(whole, 0.5), "coverage_p99_s": rank(whole, 0.99)}
    lengths_s = _gone_s(record, begin_s, end_s)
    if record.seen:
        found["gone_count"] = len(lengths_s)
    if lengths_s:
        found["gone_longest_s"] = round(max(lengths_s), 3)
    for name in ("lookups_failed_count", "noticed_max_s", "healed_s", "updates_lost_count"):
        if name in record.figures:
            found[name] = record.figures[name]
    if not any(one.nodes for one in faults_of(record)):
        found["writes_undone_count"] = sum(
            kind_of(one) != LOOKUP and one.outcome != OK and begin_s <= one.at_s < end_s
            for one in record.samples
        )
    return found


def _gone_s(record: RunRecord, begin_s: float, end_s: float) -> list[float]:
    """Of each time that a node took another for gone in that time: for how long it did."""
    until_s = window_of(record)[1]
    since: dict[tuple[str, str], float] = {}
    found = []
    for one in sorted(record.seen, key=lambda one: one.at_s):
        pair = one.node, one.subject
        if one.belief in AWAY:
            if begin_s <= one.at_s < end_s:
                since.setdefault(pair, one.at_s)
        elif pair in since:
            found.append(one.at_s - since.pop(pair))
    return found + [until_s - at_s for at_s in since.values()]


def climb_of(name: str, names: Sequence[str], rates: Sequence[str], seed: int) -> Climb:
    """A climb that has not begun."""
    ramp = RAMPS[name]
    return Climb(
        ramp=name, title=ramp.title, phrase=ramp.phrase, about=about(ramp),
        nobody_gone=ramp.nobody_gone, rates=tuple(shown(rate) for rate in rates or ramp.rates),
        cluster="", nodes=tuple(names), seed=seed, started_at="", commit="", replay="",
    )  # fmt: skip
