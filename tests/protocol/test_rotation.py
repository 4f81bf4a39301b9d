"""Rotation and revocation among whole peers: nobody is lost by it, and a stolen old key is useless.

The thief of these tests has the disk and the key of a node as they were before its rotation.
"""

from dataclasses import dataclass
from typing import TypeVar

import pytest

from protocol import signing
from protocol.agreement.evidence import KeyFork
from protocol.branch import Branch
from protocol.commits import Commit, Dot, Draft, make_commit
from protocol.detector.detection import Heartbeat, Status, Vote
from protocol.errors import ProposalError
from protocol.events import (
    Committed,
    ForkSettled,
    KeyForkFound,
    KeysChanged,
    MemberChanged,
    ShutOut,
)
from protocol.history.outcomes import AppliedStep, Gap
from protocol.identity import (
    REVOCATION,
    ROTATION,
    Address,
    KeyChain,
    NodeId,
    commitment,
    continued,
    make_event,
)
from protocol.intake import Source
from protocol.keyring import GRACE_S, Keyring
from protocol.wire.exchange import Bundle
from protocol.wire.messages import Beat, DatagramKind, Keys, Message, Push, encode, seal

from .author import changes_of
from .peer_world import CLUSTER, TRUST, Node, World, next_key, sealed, service

ELSEWHERE = Address("10.9.9.9", 9999)
"""Where the thief sends from."""


def epochs(world: World, owner: NodeId) -> set[int]:
    """The epochs of the owner's newest commit, as the live nodes hold it."""
    heads = [node.peer.registry.branch(owner) for node in world.live()]
    return {branch.dot.epoch if branch else -1 for branch in heads}


def member_changes(world: World, since: float) -> list[MemberChanged]:
    return [
        event
        for node in world.nodes
        for at, event in node.events
        if at >= since and isinstance(event, MemberChanged)
    ]


_Event = TypeVar("_Event")


def events_of(node: Node, kind: type[_Event]) -> list[_Event]:
    return [event for _, event in node.events if isinstance(event, kind)]


@dataclass
class Thief:
    """Holds a node's key and branch as they were when it was made."""

    id: NodeId
    keys: signing.KeyPair
    chain: KeyChain
    branch: Branch

    @classmethod
    def of(cls, node: Node) -> "Thief":
        held = node.peer.registry.branch(node.id)
        assert held is not None
        return cls(node.id, node.keys, node.chain, held.copy(TRUST, held._read_body))

    def commit(self, port: int) -> Commit:
        """Goes on with the branch, in the owner's name."""
        changes = changes_of(service("stolen", port))
        head = self.branch.head
        assert head is not None
        draft = Draft(
            owner=self.id, dot=Dot(self.chain.epoch, head.version + 1), parents=(head.hash,),
            issued_at=head.issued_at + 1, state_root=self.branch.preview(changes),
        )  # fmt: skip
        commit = make_commit(draft, changes, key=self.keys, cluster=CLUSTER)
        self.branch.offer([commit])
        return commit

    def says(self, message: Message, to: Node) -> None:
        """A datagram in the owner's name, under the stolen key."""
        secret = self.keys.agree(to.keys.public_key)
        assert secret is not None
        kind, body = encode(message)
        datagram = seal(self.id, signing.mac_key(secret, CLUSTER), kind, body)
        to.perform(to.peer.receive(datagram, ELSEWHERE, now=to.world.now))


def drops(node: Node) -> dict[str, int]:
    return dict(node.drops)


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_rotation_is_everywhere_within_a_second_and_nobody_is_suspected(loss: float) -> None:
    world = World(16, loss=loss).start_together()
    owner = world.nodes[3]
    world.run(2)
    owner.propose(service())
    world.run(3)
    before, start = [drops(node) for node in world.nodes], world.time

    owner.rotate(ticket=7)
    while epochs(world, owner.id) != {1}:
        assert world.holding("web") == list(range(16)), "lookups never lose the instance"
        assert world.time < start + 1.0
        world.run(0.01)
    world.run(GRACE_S + 5)

    assert member_changes(world, start) == []
    for node, was in zip(world.nodes, before, strict=True):
        assert node.drops.get("bad_mac", 0) == was.get("bad_mac", 0)
        assert events_of(node, KeysChanged) == [KeysChanged(owner.id, 1, revoked=False)]
        assert node.disk.branches[owner.id].key_events == tuple(owner.chain.packed())
    assert [event.tickets for event in events_of(owner, Committed)][-1] == (7,)
    assert world.converged()


def test_two_may_rotate_at_once_and_one_may_rotate_again_later() -> None:
    world = World(8).start_together()
    world.run(2)
    start = world.time

    world.nodes[1].rotate()
    world.nodes[2].rotate()
    world.run(1)
    with pytest.raises(ProposalError, match="only just begun"):
        world.nodes[1].rotate()
    world.run(GRACE_S)
    world.nodes[1].rotate()
    world.run(GRACE_S + 2)

    assert epochs(world, world.nodes[1].id) == {2}
    assert epochs(world, world.nodes[2].id) == {1}
    assert member_changes(world, start) == []
    assert all(not node.drops.get("bad_mac") for node in world.nodes)


def test_a_rotated_node_starts_again_with_its_new_key() -> None:
    world = World(5).start_together()
    world.run(2)
    owner = world.nodes[0]
    owner.rotate()
    world.run(0.5)

    owner.crash()
    world.run(0.2)
    owner.start()
    world.run(3)

    assert epochs(world, owner.id) == {1}
    assert all(node.peer.membership.status(owner.id) is Status.ALIVE for node in world.nodes)
    assert world.converged()


def test_a_rotation_cut_short_between_key_file_and_disk_is_finished_by_the_next_start() -> None:
    world = World(5).start_together()
    world.run(2)
    owner = world.nodes[0]
    owner.key_file = owner.successor()

    owner.crash()
    world.run(1)
    owner.start()
    world.run_until(lambda: epochs(world, owner.id) == {1}, within=10)
    world.run(3)

    assert world.converged()
    assert all(node.peer.membership.status(owner.id) is Status.ALIVE for node in world.nodes)


def test_who_was_cut_off_learns_the_key_when_it_is_back_and_then_refuses_the_thief() -> None:
    world = World(7).start_together()
    world.run(2)
    owner, cut_off = world.nodes[0], world.nodes[5:]
    owner.propose(service())
    world.run(1)
    thief = Thief.of(owner)
    world.cut = lambda a, b: (a in cut_off) is not (b in cut_off)
    world.run(4)
    owner.rotate()
    world.run(GRACE_S + 2)
    stolen = thief.commit(1)
    for node in cut_off:
        thief.says(Push((stolen,), ()), node)
    world.run(1)
    assert world.holding("stolen") == [5, 6], "who cannot know better takes it"

    world.cut = lambda _a, _b: False
    world.run_until(lambda: epochs(world, owner.id) == {1}, within=5)
    world.run(3)

    assert world.holding("stolen") == []
    assert world.holding("web") == list(range(7))
    assert not any(
        branch.disputed
        for node in world.nodes
        if (branch := node.peer.registry.branch(owner.id)) is not None
    )
    for node in cut_off:
        thief.says(Push((thief.commit(2),), ()), node)
    world.run(GRACE_S + 1)
    assert world.holding("stolen") == []
    head = world.nodes[1].peer.registry.branch(owner.id)
    assert head is not None
    assert head.head is not None
    assert len(head.head.parents) == 1, "no merge"
    assert world.converged()


def test_nothing_of_the_stolen_old_key_is_taken_once_the_new_one_is_known() -> None:
    world = World(5).start_together()
    world.run(2)
    owner, others = world.nodes[0], world.nodes[1:]
    thief = Thief.of(owner)
    owner.rotate()
    world.run(GRACE_S + 1)
    stolen = thief.commit(1)
    roots = {node.peer.registry.root for node in world.nodes}

    for node in others:
        was = drops(node)
        thief.says(Push((stolen,), ()), node)
        thief.says(Beat(Heartbeat(incarnation=9, counter=10**6), bytes(6)), node)
        assert node.drops["bad_mac"] == was.get("bad_mac", 0) + 2
        good, effects = node.peer.met(thief.chain.packed(), ELSEWHERE, now=world.now)
        assert not good
        node.perform(effects)
        assert node.drops["stale"] == was.get("stale", 0) + 1
        # Somebody else may pass on what the thief signed.
        node.perform(
            node.peer.receive(
                sealed(world.nodes[1] if node is not others[0] else others[1], node,
                       Push((stolen,), ())),
                ELSEWHERE, now=world.now,
            )
        )  # fmt: skip
        assert node.drops["stale"] == was.get("stale", 0) + 2
    world.run(3)

    assert world.holding("stolen") == []
    assert {node.peer.registry.root for node in world.nodes} == roots
    assert all(node.peer.membership.status(owner.id) is Status.ALIVE for node in others)


def test_votes_of_the_old_key_count_no_more() -> None:
    world = World(5).start_together()
    world.run(2)
    owner, other, victim = world.nodes[0], world.nodes[1], world.nodes[2]
    voice = owner.peer.rotation._parts.voice
    before = voice.sign_votes((Vote(victim.id, 1, 0),), 1)
    ack = voice.sign_ack(1, 10**5)
    judge = other.peer.rotation._parts.voice
    assert judge.verify(before)
    assert judge.verify(ack)

    owner.rotate()
    world.run(1)

    assert not judge.verify(before)
    assert not judge.verify(ack)
    assert judge.verify(voice.sign_ack(1, 10**5))


def test_the_thief_of_the_old_key_cannot_rotate() -> None:
    world = World(4).start_together()
    world.run(2)
    owner, other = world.nodes[0], world.nodes[1]
    forged = signing.KeyPair(bytes(32))
    event = make_event(
        ROTATION, previous=owner.chain.events[-1], key=forged,
        next_commitment=commitment(forged.public_key), cluster=CLUSTER,
    )  # fmt: skip
    old = make_event(
        ROTATION, previous=owner.chain.events[-1], key=owner.keys,
        next_commitment=commitment(forged.public_key), cluster=CLUSTER,
    )  # fmt: skip
    thief = Thief.of(owner)

    for one in (event, old):
        thief.says(Keys(owner.id, one), other)

    assert other.drops["bad_signature"] == 2
    assert epochs(world, owner.id) == {0}


def test_evidence_of_a_fork_by_the_old_key_ends_with_the_new_one() -> None:
    world = World(5).start_together()
    world.run(2)
    owner = world.nodes[0]
    thief = Thief.of(owner)
    owner.propose(service())
    world.run(1)
    stolen = thief.commit(1)
    # The owner is away, so that nobody merges.
    world.cut = lambda a, b: owner in (a, b)
    thief.says(Push((stolen,), ()), world.nodes[1])
    world.run(0.5)
    assert all(disputed(node, owner.id) for node in world.nodes[1:])

    world.cut = lambda _a, _b: False
    owner.rotate()
    world.run(3)

    assert not any(disputed(node, owner.id) for node in world.nodes)
    assert world.holding("stolen") == []
    assert epochs(world, owner.id) == {1}


def disputed(node: Node, owner: NodeId) -> bool:
    branch = node.peer.registry.branch(owner)
    return branch is not None and branch.disputed


def test_who_shows_the_owner_what_the_old_key_signed_gets_its_newest_key_and_head() -> None:
    world = World(4).start_together()
    world.run(2)
    owner, deceived = world.nodes[0], world.nodes[1]
    thief = Thief.of(owner)
    owner.propose(service())
    world.run(1)
    owner.rotate()
    world.run(GRACE_S + 1)
    shown = sealed(deceived, owner, Push((thief.commit(1),), ()))
    world.datagrams = []

    owner.perform(owner.peer.receive(shown, deceived.address, now=world.now))
    world.run(0.05)

    answers = {raw[1] for a, b, raw in world.datagrams if (a, b) == (owner, deceived)}
    assert {DatagramKind.KEYS, DatagramKind.ADVERT} <= answers
    world.run(3)
    head = owner.peer.registry.branch(owner.id)
    assert head is not None
    assert head.head is not None
    assert len(head.head.parents) == 1, "no merge"


def test_a_state_that_the_old_key_signed_is_never_merged_whoever_shows_it() -> None:
    world = World(4).start_together()
    world.run(2)
    owner, deceived = world.nodes[0], world.nodes[1]
    thief = Thief.of(owner)
    owner.propose(service())
    world.run(1)
    owner.rotate()
    world.run(1)
    thief.commit(1)
    manifest = thief.branch.manifest()
    assert manifest is not None
    source = Source(deceived.id, deceived.address, asked=True)

    taken = owner.peer._intake.bundle(Bundle((), manifest), source, world.now)

    assert not taken.news
    owner.perform(taken.effects)
    owner.propose(service(port=2))
    world.run(0.5)
    head = owner.peer.registry.branch(owner.id)
    assert head is not None
    assert head.head is not None
    assert len(head.head.parents) == 1
    assert world.holding("stolen") == []


def test_steps_across_a_rotation_are_no_fork_with_the_side_of_a_thief() -> None:
    world = World(2).start_together()
    world.run(2)
    owner, other = world.nodes
    thief = Thief.of(owner)
    deceived = Thief.of(owner).branch
    deceived.offer([thief.commit(1)])
    owner.propose(service())
    world.run(0.2)
    owner.rotate()
    world.run(0.5)
    ours = other.peer.registry.branch(owner.id)
    assert ours is not None

    deceived.chain = owner.chain
    assert deceived.offer(ours.kept()[-2:]) == Gap(), "the state of the new key replaces it"
    manifest = ours.manifest()
    assert manifest is not None
    assert isinstance(deceived.adopt(manifest), AppliedStep)
    assert deceived.head == ours.head


def test_a_revoked_owner_has_left_everywhere_and_its_key_opens_nothing() -> None:
    world = World(8, loss=0.05).start_together()
    world.run(2)
    owner, others = world.nodes[0], world.nodes[1:]
    owner.propose(service())
    world.run(1)
    thief = Thief.of(owner)

    owner.revoke(ticket=9)
    world.run(0.2)
    assert world.holding("web") == []
    owner.crash()
    world.run(3)

    for node in others:
        assert node.peer.membership.status(owner.id) is Status.LEFT
        assert node.peer.registry.node(owner.id) is None
        was = node.drops.get("stale", 0)
        thief.says(Push((thief.commit(1),), ()), node)
        assert not node.peer.met(thief.chain.packed(), ELSEWHERE, now=world.now)[0]
        assert node.drops["stale"] == was + 1
    assert events_of(owner, Committed)[-1].tickets == (9,)
    assert world.converged()


def test_a_revocation_closes_the_cases_against_its_owner() -> None:
    world = World(5).start_together()
    world.run(2)
    owner, others = world.nodes[0], world.nodes[1:]
    thief = Thief.of(owner)
    world.cut = lambda _a, b: b is owner  # so that it hears no evidence, and merges nothing
    owner.propose(service())
    world.run(0.1)
    thief.says(Push((thief.commit(1),), ()), others[0])
    world.run(0.1)
    assert all(node.peer.docket.open_cases(owner.id) for node in others)

    owner.revoke()
    world.run(0.2)

    for node in others:
        (case,) = node.peer.docket.cases(owner.id)
        assert case.settlement is not None
        assert (case.settlement.epoch, case.settlement.merge) == (1, None)
        assert [one.case for one in events_of(node, ForkSettled)] == [case]
        assert case in node.disk.evidence.values()


def test_who_missed_a_revocation_or_comes_later_holds_the_same_root() -> None:
    world = World(6).start_together()
    world.run(2)
    owner, away, late = world.nodes[0], world.nodes[1], world.nodes[2]
    late.crash()
    world.run(1)
    world.cut = lambda a, b: away in (a, b)
    owner.propose(service())
    world.run(1)
    owner.revoke()
    world.run(1)
    owner.crash()
    world.run(2)

    world.cut = lambda _a, _b: False
    late.disk = type(late.disk)(incarnation=late.disk.incarnation)
    late.start()
    late.join(world.nodes[3])
    world.run_until(world.converged, within=10)

    assert world.holding("web") == []
    for node in world.live():
        assert node.peer.registry.vector()[owner.id] == Dot(1, 0)
    revived = World(2)
    revived.nodes[0].disk = away.disk
    away.crash()
    away.start()
    chain = away.peer.registry.chain(owner.id)
    assert chain is not None
    assert chain.revoked


def forked_keys(owner: Node) -> tuple[KeyChain, KeyChain, signing.KeyPair]:
    """Two rotations by whoever holds the next key: the one that stands first."""
    keys = next_key(owner.number, owner.chain.epoch)
    chains = []
    for other in (b"a", b"b"):
        promised = commitment(signing.KeyPair(other * 32).public_key)
        event = make_event(
            ROTATION, previous=owner.chain.events[-1], key=keys, next_commitment=promised,
            cluster=CLUSTER,
        )  # fmt: skip
        chains.append(continued(owner.chain, event, TRUST))
    first, second = sorted(chains, key=lambda chain: chain.events[-1].hash)
    return first, second, keys


@pytest.mark.parametrize("winner_first", [True, False])
def test_of_two_rotations_the_smaller_hash_stands_everywhere(winner_first: bool) -> None:
    world = World(6).start_together()
    world.run(2)
    owner = world.nodes[0]
    stands, falls, _ = forked_keys(owner)
    one, two = (stands, falls) if winner_first else (falls, stands)
    owner.crash()  # whoever has its next key, it is not this node that rotates
    told = [sealed(world.nodes[5], node, Keys(owner.id, chain.events[-1]))
            for node, chain in ((world.nodes[1], one), (world.nodes[2], two))]  # fmt: skip

    for node, datagram in zip(world.nodes[1:3], told, strict=True):
        node.perform(node.peer.receive(datagram, ELSEWHERE, now=world.now))
    world.run(1)

    proof = KeyFork(owner.id, stands.events[-1], falls.events[-1])
    for node in world.live():
        chain = node.peer.registry.chain(owner.id)
        assert chain is not None
        assert chain.events[-1].hash == stands.events[-1].hash
        assert events_of(node, KeyForkFound) == [KeyForkFound(proof)]
        (case,) = node.peer.docket.cases()
        assert (case.evidence, case.open) == (proof, True)
        assert list(node.disk.evidence.values()) == [case]


def test_two_rotations_of_one_sequence_are_told_to_whoever_was_away_and_kept() -> None:
    world = World(6).start_together()
    world.run(2)
    owner, late = world.nodes[0], world.nodes[5]
    stands, falls, _ = forked_keys(owner)
    owner.crash()
    world.cut = lambda a, b: late in (a, b)
    for node, chain in ((world.nodes[1], stands), (world.nodes[2], falls)):
        datagram = sealed(world.nodes[4], node, Keys(owner.id, chain.events[-1]))
        node.perform(node.peer.receive(datagram, ELSEWHERE, now=world.now))
    world.run(10)
    assert len(late.peer.docket) == 0

    world.cut = lambda _a, _b: False
    world.run_until(lambda: len(late.peer.docket) == 1, within=10)
    proof = KeyFork(owner.id, stands.events[-1], falls.events[-1])
    late.crash()
    world.cut = lambda _a, _b: True
    late.start()
    (case,) = late.peer.docket.cases()

    assert (case.evidence, case.open) == (proof, True)
    assert late.peer.registry.key_forks == {owner.id: proof}


def test_a_node_whose_key_somebody_else_replaced_signs_nothing_more() -> None:
    world = World(4).start_together()
    world.run(2)
    owner = world.nodes[0]
    stands, _, _ = forked_keys(owner)
    other = world.nodes[1]
    datagram = sealed(world.nodes[2], other, Keys(owner.id, stands.events[-1]))

    other.perform(other.peer.receive(datagram, ELSEWHERE, now=world.now))
    world.run(3)

    assert events_of(owner, ShutOut) == [ShutOut(1)]
    head = owner.peer.registry.branch(owner.id)
    assert head is not None
    was = head.head
    with pytest.raises(ProposalError, match="revoked or replaced"):
        owner.propose(service())
    world.run(1)
    assert head.head == was
    assert world.holding("web") == []


def test_an_old_copy_of_the_directory_is_told_by_its_peers_that_its_key_was_replaced() -> None:
    world = World(4).start_together()
    world.run(2)
    owner = world.nodes[0]
    disk, file = owner.disk.copy(), owner.key_file
    owner.rotate()
    world.run(1)
    owner.crash()
    world.run(1)

    owner.disk, owner.key_file = disk, file
    owner.start()
    owner.join(world.nodes[1])
    world.run(5)

    assert events_of(owner, ShutOut) == [ShutOut(1)]
    assert not owner.peer.ready, "it signed nothing"


def test_a_revocation_waits_for_the_commit_in_flight_and_ends_signing() -> None:
    world = World(3).start_together()
    world.run(2)
    owner = world.nodes[0]

    owner.propose(service(), ticket=1)
    owner.revoke(ticket=2)
    with pytest.raises(ProposalError, match="revoked or replaced"):
        owner.propose(service(port=9), ticket=3)
    world.run(1)

    assert [event.tickets for event in events_of(owner, Committed)][-2:] == [(1,), (2,)]
    assert world.holding("web") == []


def test_the_keyring_forgets_the_replaced_key_when_the_grace_is_over() -> None:
    world = World(2)
    alice, bob = world.nodes
    ring = Keyring(alice.id, alice.keys, CLUSTER)
    old = ring.key_for(bob.chain)
    keys, _ = alice.successor()

    ring.turn(keys, now=0.0)

    assert ring.key_to(bob.chain, now=GRACE_S - 0.1) == old, "bob may not know yet"
    assert ring.turning(now=GRACE_S - 0.1)
    assert ring.key_to(bob.chain, now=GRACE_S) not in (old, None)
    assert not ring.turning(now=GRACE_S)


def test_only_a_chain_that_continues_ours_by_one_event_is_taken() -> None:
    world = World(2).start_together()
    world.run(2)
    owner, other = world.nodes
    keys, chain = owner.successor()
    _, theirs = other.successor()
    _, ended = owner.successor(REVOCATION)

    for bad, signer in ((theirs, keys), (owner.chain, keys), (ended, keys), (chain, other.keys)):
        with pytest.raises(ProposalError):
            owner.peer.rotate(bad, signer, None, now=world.now)
    with pytest.raises(ProposalError):
        owner.peer.revoke(chain, None, now=world.now)

    assert epochs(world, owner.id) == {0}
