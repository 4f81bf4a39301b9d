"""Evidence: two commits of one owner that cannot both be on one branch.

An honest owner never signs two commits on one parent, nor two with one dot. Whoever holds both
signed headers can prove the lie (or the restored old disk) to anyone, with nothing else at hand.
"""

from dataclasses import dataclass

from protocol.commits import Head, unpack_head
from protocol.errors import MalformedError, RefusedError
from protocol.identity import KeyChain, NodeId
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


def fork_of(ours: Head, theirs: Head) -> Evidence | None:
    """The proof that two heads fork, or None if they do not prove it."""
    if ours.owner != theirs.owner or ours.hash == theirs.hash:
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


def check_evidence(evidence: Evidence, chain: KeyChain, trust: Trust) -> None:
    """Judge both signatures.

    Raises:
        RefusedError: `bad_signature`; the evidence proves nothing.
    """
    for head in (evidence.first, evidence.second):
        key = chain.key_of(head.epoch)
        if key is None or not head.signed_by(key, trust):
            raise RefusedError("bad_signature", "evidence with a signature that is not its owner's")
