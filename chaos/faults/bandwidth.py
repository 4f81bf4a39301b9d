"""Thin lines: a token bucket (tc-tbf(8)) on what leaves a node.

Rules this module keeps:

1. One bucket for all that a node sends, as on one line to the world; what comes in is not limited.
2. While a line is thin no promise of time is judged: a queue of a second may stand before it.
"""

from dataclasses import dataclass
from functools import partial

from chaos.cluster.cluster import Ability, member_named

from .egress import Egress
from .fault import FaultKind, Stage, Table
from .fields import Fields
from .hands import each
from .links import Effect, LinkTable

_UNITS = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_DIGITS_MAX = 6


@dataclass(slots=True, eq=False)
class ThinLine:
    """Nodes that send no faster than that."""

    nodes: tuple[str, ...]
    rate: str
    rate_bits: int
    """The same, a second."""

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        stage.notes.say(f"{self.rate} for what {' '.join(self.nodes)} sends")
        LinkTable.of(stage).put(self, Effect(hard=True))
        each(self.nodes, partial(self._thin, stage, self.rate_bits))

    def heal(self, stage: Stage) -> None:
        """See `Fault`."""
        try:
            each(self.nodes, partial(self._thin, stage, None))
        finally:
            LinkTable.of(stage).take(self)

    def _thin(self, stage: Stage, rate_bits: int | None, name: str) -> None:
        Egress.of(stage).thin(member_named(stage.cluster, name), self, rate_bits)


def _read(table: Table, names: tuple[str, ...]) -> ThinLine:
    fields = Fields(table)
    rate = fields.text("rate")
    unit = next((unit for unit in _UNITS if rate.endswith(unit)), "?")
    digits = rate.removesuffix(unit)
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX
    number = int(digits) if is_number else 0
    if unit not in _UNITS or not number:
        raise fields.wrong("rate", f'{rate[:32]!r} is no rate; write "256kbit" or "2mbit"')
    line = ThinLine(fields.nodes("nodes", names), rate, number * _UNITS[unit])
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
