"""Evidence: two commits, or two key events, of one owner that cannot both stand.

An honest owner never signs two commits on one parent, nor two with one dot. Whoever holds both
signed headers can prove the lie (or the restored old disk) to anyone, with nothing else at hand.
Commits of two epochs prove nothing: whoever stole the old key goes on where the owner went another
way, and the newer key is the one that counts.

Nor does it sign two key events of one sequence. Only the holder of the next key could, so there it
was stolen too; the event with the smaller hash stands everywhere.
"""

from dataclasses import dataclass
from typing import TypeAlias

from protocol.commits import Head, unpack_head
from protocol.errors import MalformedError, RefusedError
from protocol.identity import (
    NODE_ID_BYTES,
    KeyChain,
    KeyEvent,
    NodeId,
    check_event,
    unpack_event,
)
from protocol.signing import Trust
from protocol.wire import codec


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two heads that prove a fork, the smaller hash first. Make one with `fork_of`."""

    first: Head
    second: Head

    @property
    def owner(self) -> NodeId:
        """Who forked."""
        return self.first.owner

    def pack(self) -> bytes:
        """The evidence as it travels."""
        return codec.pack([self.first.pack(), self.second.pack()])


@dataclass(frozen=True, slots=True)
class KeyFork:
    """Two key events of one sequence, the smaller hash, which stands, first.

    Make one with `key_fork_of`.
    """

    owner: NodeId
    first: KeyEvent
    second: KeyEvent

    @property
    def sequence(self) -> int:
        """Which event of the chain there are two of."""
        return self.first.sequence

    def pack(self) -> bytes:
        """The evidence as it travels: the events after the first name no owner, so it is said."""
        return codec.pack([self.owner, self.first.pack(), self.second.pack()])


AnyEvidence: TypeAlias = Evidence | KeyFork


def fork_of(ours: Head, theirs: Head) -> Evidence | None:
    """The proof that two heads fork, or None if they do not prove it."""
    if ours.owner != theirs.owner or ours.hash == theirs.hash or ours.epoch != theirs.epoch:
        return None
    one_parent = ours.parents[:1] == theirs.parents[:1]
    if not one_parent and ours.dot != theirs.dot:
        return None
    if ours.hash < theirs.hash:
        return Evidence(ours, theirs)
    return Evidence(theirs, ours)


def unpack_evidence(packed: bytes) -> Evidence:
    """Read evidence; `check_evidence` judges it. Raises MalformedError."""
    reader = codec.read(packed, "evidence")
    heads = [unpack_head(reader.raw("head", most=600)) for _ in range(2)]
    reader.end()
    evidence = fork_of(heads[0], heads[1])
    if evidence is None:
        raise MalformedError("evidence", "the two heads prove no fork")
    return evidence


def key_fork_of(owner: NodeId, ours: KeyEvent, theirs: KeyEvent) -> KeyFork | None:
    """What two key events of one owner prove, if they are of one sequence and differ."""
    if ours.sequence != theirs.sequence or ours.sequence == 0 or ours.hash == theirs.hash:
        return None
    if ours.hash < theirs.hash:
        return KeyFork(owner, ours, theirs)
    return KeyFork(owner, theirs, ours)


def unpack_key_fork(packed: bytes) -> KeyFork:
    """Read two key events; `check_key_fork` judges them. Raises MalformedError."""
    reader = codec.read(packed, "key fork")
    owner = NodeId(reader.fixed("owner", NODE_ID_BYTES))
    events = [unpack_event(reader.raw("key event", most=384)) for _ in range(2)]
    reader.end()
    fork = key_fork_of(owner, events[0], events[1])
    if fork is None:
        raise MalformedError("key fork", "the two key events prove nothing")
    return fork


def unpack_any(packed: bytes) -> AnyEvidence:
    """Read evidence of either sort. Raises MalformedError."""
    is_key_fork = len(codec.read(packed, "evidence")) == 3
    return unpack_key_fork(packed) if is_key_fork else unpack_evidence(packed)


def check_key_fork(fork: KeyFork, chain: KeyChain, trust: Trust) -> None:
    """Judge both events by the one before them in the owner's chain.

    Raises:
        BadKeyEventError: one of them does not follow it; the evidence proves nothing.
        RefusedError: `unknown_sender`; the chain does not reach so far.
    """
    if fork.owner != chain.node or fork.sequence > len(chain.events):
        raise RefusedError("unknown_sender", "the key events before those are not known")
    for event in (fork.first, fork.second):
        check_event(event, chain.events[fork.sequence - 1], trust)


def check_evidence(evidence: Evidence, chain: KeyChain, trust: Trust) -> None:
    """Judge both signatures.

    Raises:
        RefusedError: `bad_signature`; the evidence proves nothing.
    """
    for head in (evidence.first, evidence.second):
        key = chain.key_of(head.epoch)
        if key is None or not head.signed_by(key, trust):
            raise RefusedError("bad_signature", "evidence with a signature that is not its owner's")
