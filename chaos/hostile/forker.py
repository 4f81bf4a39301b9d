"""Two commits of one version, each right by itself, and each shown to one half of the cluster.

Rules this module keeps:

1. Both halves are told by turns, from one socket: else the first would be everywhere before the
   second is told.
"""

import socket
from random import Random

from protocol.bodies import record_of
from protocol.commits import Change, Commit, Dot, Draft, make_commit
from protocol.records import ServiceRecord
from protocol.wire.messages import Push

from .contact import Contact, meet_all
from .keys import HostileError, Stolen
from .turns import turns

_PORTS = 1_000, 2_000
"""What tells the two apart."""


def fork(
    stolen: Stolen, targets: list[tuple[str, int]], *, per_s: float, for_s: float, rng: Random
) -> dict[str, int]:
    """Show the first half of the targets another commit than the second; how often."""
    contacts = meet_all(targets, stolen)
    if len(contacts) < 2:
        raise HostileError("two nodes are needed to tell them different things")
    middle = (len(contacts) + 1) // 2
    halves = contacts[:middle], contacts[middle:]
    forks, failed = 0, ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in turns(per_s=per_s, for_s=for_s):
            try:
                commits = _fork(stolen, rng.choice(contacts), f"fork-{forks}")
            except HostileError as error:
                failed = str(error)
                continue
            told = [
                (contact.datagram(Push((commit,), ())), contact.address)
                for half, commit in zip(halves, commits, strict=True)
                for contact in half
            ]
            for place in range(middle):
                for datagram, address in told[place::middle]:
                    udp.sendto(datagram, address)
            forks += 1
    if not forks:
        raise HostileError(f"nothing to fork: {failed}")
    return {"forks_count": forks, "met_count": len(contacts)}


def _fork(stolen: Stolen, source: Contact, name: str) -> list[Commit]:
    """Two commits on what one node holds of us."""
    branch = source.branch_of(stolen.node)
    head = branch.head
    assert head is not None
    commits = []
    for port in _PORTS:
        record = record_of(ServiceRecord(name=name, id=name, address="127.0.0.1", port=port))
        change = Change(record.kind, record.key, record.body)
        draft = Draft(
            owner=stolen.node, dot=Dot(head.epoch, head.version + 1), parents=(head.hash,),
            issued_at=head.issued_at + 1, state_root=branch.preview([change]),
        )  # fmt: skip
        commits.append(make_commit(draft, [change], key=stolen.keys, cluster=stolen.cluster))
    return commits
