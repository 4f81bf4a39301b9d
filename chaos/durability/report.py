"""What a sweep or a loop came to, as tables for people and as one document for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from chaos.cli.tables import coloured, facts, number, seconds, section, table
from chaos.cluster.client import Json, Shape
from chaos.verdict import Verdict

from .killing import Round
from .sweep import Swept

SHOWN_MAX = 20
"""Violations that a table lists."""
ROUND_HEADINGS = (
    "round", "killed", "acknowledged", "open", "repeated", "waiting", "ready s", "healed s",
    "drained s", "violations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What was run, and what came of it."""

    command: str
    """The words that run it again."""
    verdict: Verdict
    took_s: float


def verdict_of_sweep(swept: Swept) -> Verdict:
    """Unknown if nothing was acknowledged or synced: then nothing was tried."""
    if swept.invalid:
        return Verdict.INVALID
    return Verdict.VALID if swept.acknowledged and swept.directories else Verdict.UNKNOWN


def verdict_of_rounds(rounds: Sequence[Round]) -> Verdict:
    """Unknown if nothing was acknowledged."""
    if any(one.violations for one in rounds):
        return Verdict.INVALID
    told = sum(one.acknowledged for one in rounds)
    return Verdict.VALID if told else Verdict.UNKNOWN


def sweep_text(header: Header, swept: Swept) -> str:
    """For people."""
    pairs = [
        ("acknowledged", number(swept.acknowledged)),
        ("syncs", number(sum(swept.syncs.values()))),
        ("points", number(swept.points)),
        ("power cuts", number(sum(swept.cases.values()))),
        ("directories", number(swept.directories)),
        ("with violations", number(swept.invalid)),
        ("real nodes started", number(swept.started)),
    ]
    rows = [[name, number(count)] for name, count in swept.cases.items()]
    synced = [[name, number(count)] for name, count in sorted(swept.syncs.items())]
    states = [[name, number(count)] for name, count in sorted(swept.states.items())]
    parts = [
        _head(header),
        section("power failed", facts(pairs)),
        section("what was synced", table(["file", "syncs"], synced, numbers=["syncs"])),
        section("what was not synced", table(["of it remains", "cuts"], rows, numbers=["cuts"])),
        section("the doctor says", table(["state", "count"], states, numbers=["count"])),
        *_violations(swept.violations),
    ]
    return "\n\n".join(parts)


def rounds_text(header: Header, rounds: Sequence[Round]) -> str:
    """For people."""
    violations = [f"round {one.number}: {what}" for one in rounds for what in one.violations]
    everybody = sum(len(one.victims) > 1 for one in rounds)
    ready, healed = sorted(r.ready_s for r in rounds), sorted(r.healed_s for r in rounds)
    drained = sorted(r.drained_s for r in rounds)
    pairs = [
        ("rounds", number(len(rounds))),
        ("of which all were killed", number(everybody)),
        ("acknowledged", number(sum(one.acknowledged for one in rounds))),
        ("open at the kill", number(sum(one.open for one in rounds))),
        ("update ids repeated", number(sum(one.repeated for one in rounds))),
        ("queues compared", number(sum(one.queues for one in rounds))),
        ("commits waiting in them", number(sum(one.waiting for one in rounds))),
        ("forgotten by a peer", number(sum(one.forgotten for one in rounds))),
        ("ready, median and most", f"{_middle(ready)}, {seconds(max(ready, default=0))} s"),
        ("healed, median and most", f"{_middle(healed)}, {seconds(max(healed, default=0))} s"),
        ("drained, median and most", f"{_middle(drained)}, {seconds(max(drained, default=0))} s"),
        ("violations", number(len(violations))),
    ]
    return "\n\n".join([_head(header), section("kill -9", facts(pairs)), *_violations(violations)])


def round_line(one: Round) -> str:
    """One round, while others follow."""
    cells = [
        str(one.number), one.victims, str(one.acknowledged), str(one.open), str(one.repeated),
        str(one.waiting), f"{one.ready_s:.2f}", f"{one.healed_s:.2f}", f"{one.drained_s:.2f}",
        str(len(one.violations)),
    ]  # fmt: skip
    pairs = zip(ROUND_HEADINGS, cells, strict=True)
    return "  ".join(f"{heading} {cell}" for heading, cell in pairs)


def sweep_document(header: Header, swept: Swept) -> Shape:
    """For programs."""
    return {**_shape(header), "sweep": _jsonable(asdict(swept))}


def rounds_document(header: Header, rounds: Sequence[Round]) -> Shape:
    """For programs."""
    return {**_shape(header), "rounds": [_jsonable(asdict(one)) for one in rounds]}


def _jsonable(value: object) -> Json:
    if isinstance(value, dict):
        return {str(name): _jsonable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_jsonable(one) for one in value]
    return value if isinstance(value, str | int | float | bool) else None


def _shape(header: Header) -> Shape:
    return {
        "command": header.command,
        "verdict": header.verdict.value,
        "took_s": round(header.took_s, 1),
    }


def _head(header: Header) -> str:
    verdict = coloured(header.verdict.value.upper())
    return f"{verdict}  {header.command}  ({header.took_s:.0f} s)"


def _violations(violations: Sequence[str]) -> list[str]:
    if not violations:
        return []
    lines = [f"  {what}" for what in violations[:SHOWN_MAX]]
    if len(violations) > SHOWN_MAX:
        lines.append(f"  … and {number(len(violations) - SHOWN_MAX)} more")
    return [section("violations", "\n".join(lines))]


def _middle(ordered: Sequence[float]) -> str:
    return seconds(ordered[len(ordered) // 2]) if ordered else "-"
