"""What the liar says, how often, and to whom: the same on both sides.

On Serf's side an accusation is one message of memberlist's, `dead` or `suspect`, with a number (the
accused's incarnation) that must not be older than what the hearer knows. On Kith's it is a signed
vote, the only thing that a member can say against another, with a number (the accused's counter) of
the same use. Each accusation has a greater number than the last, so that no refutation voids it in
advance; `greatest` has the greatest that hearers believe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STEP = 1_000
"""So much greater each accusation's number is than the last one's."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to lie."""

    name: str
    title: str
    """In tables."""
    repeated: bool = False
    to_accused: bool = False
    """Whether the accused is told as well."""
    suspects: bool = False
    """Whether Serf's members are told `suspect` instead of `dead`."""
    greatest: bool = False


_ALL = (
    Attack("once", "said dead once, to all others"),
    Attack("others", "said dead again and again, to all others", repeated=True),
    Attack(
        "everybody", "said dead again and again, to the accused too", repeated=True,
        to_accused=True,
    ),
    Attack(
        "suspect", "said suspect again and again, to all others", repeated=True, suspects=True
    ),
    Attack("greatest", "said dead once, with the greatest number", greatest=True),
)  # fmt: skip
ATTACKS: Mapping[str, Attack] = MappingProxyType({one.name: one for one in _ALL})
"""By name, in the order in which they are done."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of it."""

    per_s: float
    """Accusations a second to each who is told, where they are repeated."""
    for_s: float
    """For so long."""
    watch_s: float
    """It is looked at for so long after the last one."""
