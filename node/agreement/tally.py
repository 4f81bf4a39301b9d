"""How often statements met here, which rule decided, and who was at odds: for the metrics.

A result is counted when it is found, not each time that it is shown.
"""

from typing import Literal, TypeAlias

from protocol.agreement.resolve import Blame, Resolution, Rule

About: TypeAlias = Literal["document", "guest", "owners", "peers"]
"""A field of a document, what hosts say of a guest, a document's owners, the lists of seeds."""

ABOUTS: tuple[About, ...] = ("document", "guest", "owners", "peers")


class Tally:
    """Counts resolutions by what they were about. Both tables are bounded by closed sets."""

    def __init__(self) -> None:
        self.rules: dict[tuple[About, Rule], int] = {}
        self.blames: dict[tuple[About, Blame], int] = {}

    def note(self, about: About, result: Resolution[bytes]) -> None:
        """Count one result."""
        place = about, result.rule
        self.rules[place] = self.rules.get(place, 0) + 1
        for one in result.discrepancies:
            blamed = about, one.blame
            self.blames[blamed] = self.blames.get(blamed, 0) + 1
