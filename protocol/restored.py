"""What a node knows when it starts: the values that storage gives back."""

from dataclasses import dataclass

from .commits import Commit, Head, Record
from .identity import NodeId


@dataclass(frozen=True, slots=True)
class RestoredBranch:
    """One owner as it was on disk: still to be verified by the root, not by each signature."""

    owner: NodeId
    key_events: tuple[bytes, ...]
    head: Head | None
    """None where only the key events are known."""
    commits: tuple[Commit, ...]
    """The newest at most 32, oldest first; they end in `head` unless a manifest replaced them."""
    records: tuple[Record, ...]
    reaped: bool
    """The records were dropped after its death; only the head stands."""
