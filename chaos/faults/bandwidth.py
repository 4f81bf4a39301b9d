"""Thin lines: a token bucket (tc-tbf(8)) on what leaves a node.

Rules this module keeps:

1. One bucket for all that a node sends, as on one line to the world; what comes in is not limited.
2. While a line is thin no promise of time is judged: a queue of a second may stand before it.
"""

from dataclasses import dataclass

from chaos.cluster.cluster import Ability, member_named

from .fault import FaultError, FaultKind, Stage, Table
from .fields import Fields
from .links import Effect, LinkTable, run_inside

_UNITS = ("kbit", "mbit", "gbit")
_DIGITS_MAX = 6
_TBF = ("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf")
_NONE_THERE = ("No such file", "handle of zero", "Invalid handle")
_BURST, _LATENCY = "16kb", "400ms"


@dataclass(slots=True, eq=False)
class ThinLine:
    """Nodes that send no faster than that."""

    nodes: tuple[str, ...]
    rate: str

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"{self.rate} for what {' '.join(self.nodes)} sends")
        for name in self.nodes:
            member = member_named(stage.cluster, name)
            if "htb" in run_inside(member, "", "tc", "qdisc", "show", "dev", "eth0"):
                raise FaultError(f"node {name} is delayed by netem; its line cannot be thin, too")
            limits = ("rate", self.rate, "burst", _BURST, "latency", _LATENCY)
            run_inside(member, "", *_TBF, *limits)
        LinkTable.of(stage).put(self, Effect(hard=True))

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        failed = []
        for name in self.nodes:
            member = member_named(stage.cluster, name)
            try:
                # Where there is none, tc says so, and nothing has to be done.
                run_inside(member, "", "tc", "qdisc", "del", "dev", "eth0", "root")
            except FaultError as error:
                if not any(words in str(error) for words in _NONE_THERE):
                    failed.append(str(error))
        LinkTable.of(stage).take(self)
        if failed:
            raise FaultError("; ".join(failed))


def _read(table: Table, names: tuple[str, ...]) -> ThinLine:
    fields = Fields(table)
    rate = fields.text("rate")
    digits = next((rate.removesuffix(unit) for unit in _UNITS if rate.endswith(unit)), "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX and int(digits)):
        raise fields.wrong("rate", f'{rate[:32]!r} is no rate; write "256kbit" or "2mbit"')
    line = ThinLine(fields.nodes("nodes", names), rate)
    fields.end()
    return line


def _named(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    return Fields(table).nodes("nodes", names)


BANDWIDTH = FaultKind(
    name="bandwidth",
    summary="a node sends no faster than that",
    needs=frozenset({Ability.BANDWIDTH}),
    fields={"nodes": "names of nodes", "rate": 'such as "256kbit" or "2mbit"'},
    read=_read,
    victims=_named,
)
