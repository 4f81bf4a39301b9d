"""How much of the cluster this node reaches, and what that allows it to say.

A node counts the members it last knew: all but the dead and those that said they stop or left.
Only one that reaches strictly more than half of them may declare others dead, so of two sides of a
split at most one does, and the other is never declared dead by a smaller one.
"""

import enum


class Partition(enum.Enum):
    """This node's side of the cluster, as it sees it."""

    NONE = "none"
    MAJORITY = "majority"
    EVEN = "even"
    MINORITY = "minority"


def partition_of(*, reached: int, known: int) -> Partition:
    """Judge by counts that include this node itself."""
    if reached >= known:
        return Partition.NONE
    if 2 * reached > known:
        return Partition.MAJORITY
    return Partition.EVEN if 2 * reached == known else Partition.MINORITY
