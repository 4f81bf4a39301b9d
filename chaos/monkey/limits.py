"""What the monkey may do, at most."""

from collections.abc import Mapping
from dataclasses import dataclass, field

FOR_S_MAX = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Safety limits of a drawn scenario."""

    most_down: int = 1
    """Nodes out of action at once, wholly or in part: dead, frozen, cut off, starved."""
    heal_within_s: float = 15.0
    """No fault lasts longer."""
    calm_s: float = 5.0
    """Nothing is wrong for so long after each bout of faults, and before the first."""
    together: int = 2
    """Faults of one bout, at most; of these one touches links, so two partitions never meet."""
    for_s: float = 120.0
    """When all faults are over."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How often a kind of fault is drawn beside the others; 1 where it is not named, 0 never."""

    def __post_init__(self) -> None:
        """Refuse limits within which nothing can be drawn. Raises ValueError, naming the field."""
        if self.most_down < 1:
            raise ValueError(f"most_down: {self.most_down} nodes; 1 is the least")
        if not 1 <= self.together <= 4:
            raise ValueError(f"together: {self.together} faults; 1 to 4 can be")
        if not 1.0 <= self.heal_within_s <= FOR_S_MAX:
            raise ValueError(f"heal_within_s: {self.heal_within_s:g} s; it takes 1 s or more")
        if not 1.0 <= self.calm_s <= FOR_S_MAX:
            raise ValueError(f"calm_s: {self.calm_s:g} s; it takes 1 s or more")
        if not self.calm_s + self.heal_within_s <= self.for_s <= FOR_S_MAX:
            raise ValueError(
                f"for_s: {self.for_s:g} s; calm and one fault take "
                f"{self.calm_s + self.heal_within_s:g} s, and {FOR_S_MAX:g} s is the most"
            )
        for name, weight in self.weights.items():
            if not 0.0 <= weight <= 1e6:
                raise ValueError(f"weights: {name} = {weight}; 0 to 1000000 can be")
