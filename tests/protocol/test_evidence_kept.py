"""Evidence in a cluster: first on its way, kept over restarts, the same on all nodes."""

from dataclasses import replace

from protocol import signing
from protocol.agreement.docket import Case, Reported
from protocol.agreement.evidence import Evidence, fork_of
from protocol.commits import Commit, Dot, Draft, make_commit
from protocol.detector.detection import Gossip
from protocol.dissemination import want_of
from protocol.effects import Drop, Effect, KeepEvidence, Notify, Request, Send, Store
from protocol.events import ForkFound, ForkSettled
from protocol.identity import NodeId
from protocol.intake import PUSH_RINGS
from protocol.wire.exchange import DeliverRequest, SyncAnswer, decode_request, encode_answer
from protocol.wire.messages import DatagramKind, Push, encode, inspect, seal

from .peer_world import CLUSTER, Node, World, service


def joined(nodes: int = 5) -> World:
    world = World(nodes).start_joined()
    world.run(3)
    return world


def is_delivery(request: Request) -> bool:
    return isinstance(decode_request(request.body), DeliverRequest)


def heal(world: World) -> None:
    world.cut = lambda _a, _b: False


def twin_of(node: Node, later: int = 1) -> Commit:
    """What `node` might have signed instead of its newest commit."""
    branch = node.peer.registry.branch(node.id)
    assert branch is not None
    assert branch.head is not None
    head = branch.head
    draft = Draft(
        owner=node.id, dot=Dot(0, head.version + later), parents=head.parents,
        issued_at=head.issued_at, state_root=branch.preview(()),
    )  # fmt: skip
    return make_commit(draft, (), key=node.keys, cluster=CLUSTER)


def fork_by(node: Node, later: int = 1) -> Evidence:
    branch = node.peer.registry.branch(node.id)
    assert branch is not None
    assert branch.head is not None
    evidence = fork_of(branch.head, twin_of(node, later).head)
    assert evidence is not None
    return evidence


def give(sender: Node, receiver: Node, kind: DatagramKind, body: bytes) -> list[Effect]:
    secret = sender.keys.agree(receiver.keys.public_key)
    assert secret is not None
    datagram = seal(sender.id, signing.mac_key(secret, CLUSTER), kind, body)
    effects = receiver.peer.receive(datagram, sender.address, now=receiver.world.now)
    receiver.perform(effects)
    return effects


def tell(sender: Node, receiver: Node, evidence: Evidence) -> list[Effect]:
    return give(sender, receiver, DatagramKind.EVIDENCE, evidence.pack())


def ids(node: Node) -> set[bytes]:
    return {case.id for case in node.peer.docket.cases()}


def only_case(node: Node) -> Case:
    (case,) = node.peer.docket.cases()
    return case


def disputes(node: Node, owner: NodeId) -> bool:
    branch = node.peer.registry.branch(owner)
    return branch is not None and branch.disputed


def liar_in(world: World) -> tuple[Node, Evidence]:
    """The last node, dead after it forked, and the proof."""
    liar = world.nodes[-1]
    evidence = fork_by(liar)
    liar.crash()
    return liar, evidence


def test_evidence_leaves_before_everything_else_that_follows_from_a_fork() -> None:
    world = joined()
    liar = world.nodes[-1]
    kind, body = encode(Push((twin_of(liar),), ()))

    effects = give(world.nodes[1], world.nodes[0], kind, body)

    urgent = [isinstance(effect, Send) and effect.urgent for effect in effects]
    assert urgent == sorted(urgent, reverse=True)
    kinds = {inspect(e.datagram)[0] for e in effects if isinstance(e, Send) and e.urgent}
    assert kinds == {DatagramKind.EVIDENCE}
    assert any(isinstance(effect, Notify) for effect in effects)
    assert isinstance(effects[-1], Store)
    assert isinstance(effects[-1].keep, KeepEvidence)
    assert effects[-1].keep.case.reported_by == world.nodes[1].id


def receivers(world: World, effects: list[Effect]) -> set[NodeId]:
    """Who is sent evidence."""
    addresses = [e.to for e in effects if isinstance(e, Send) and e.urgent]
    return {node.id for node in world.nodes if node.address in addresses}


def test_who_brought_one_half_of_a_fork_is_told_of_the_other() -> None:
    world = joined(12)
    liar, bob = world.nodes[-1], world.nodes[0]
    near = bob.peer.membership.push_targets(PUSH_RINGS)
    teller = next(n for n in world.nodes[1:-1] if n.id not in near)
    kind, body = encode(Push((twin_of(liar),), ()))

    effects = give(teller, bob, kind, body)

    assert receivers(world, effects) == {liar.id, teller.id, *near}


def test_who_told_a_proof_is_not_told_it_again() -> None:
    world = joined()
    liar, evidence = liar_in(world)
    alice, bob = world.nodes[:2]
    near = bob.peer.membership.push_targets(PUSH_RINGS)
    assert alice.id in near

    assert receivers(world, tell(alice, bob, evidence)) == {liar.id, *near} - {alice.id}


def test_all_honest_nodes_hold_the_same_evidence_and_tell_each_other_once() -> None:
    world = joined(8)
    liar, evidence = liar_in(world)

    tell(world.nodes[0], world.nodes[1], evidence)
    took = world.run_until(lambda: all(ids(n) for n in world.live()[1:]), within=1)
    world.run(1)

    assert took < 0.05
    assert len({frozenset(ids(node)) for node in world.live()}) == 1
    assert all(disputes(node, liar.id) for node in world.live())
    found = [e for n in world.live() for _, e in n.events if isinstance(e, ForkFound)]
    assert len(found) == len(world.live()), "each node once"
    assert tell(world.nodes[0], world.nodes[1], evidence) == []


def test_a_second_fork_of_an_owner_in_dispute_is_spread_and_kept_too() -> None:
    world = joined()
    liar = world.nodes[-1]
    forks = [fork_by(liar, 1), fork_by(liar, 2)]
    liar.crash()

    for evidence in forks:
        tell(world.nodes[0], world.nodes[1], evidence)
        world.run(0.1)

    assert all(len(ids(node)) == 2 for node in world.live())


def test_evidence_with_a_wrong_signature_is_refused_and_not_kept() -> None:
    world = joined()
    _, evidence = liar_in(world)
    forged = replace(evidence, first=replace(evidence.first, signature=bytes(64)))

    effects = tell(world.nodes[0], world.nodes[1], forged)

    assert [e.reason for e in effects if isinstance(e, Drop)] == ["bad_signature"]
    assert not ids(world.nodes[1])


def test_a_dispute_survives_a_restart() -> None:
    world = joined(3)
    liar, evidence = liar_in(world)
    bob = world.nodes[1]
    tell(world.nodes[0], bob, evidence)
    world.run(0.1)
    case = only_case(bob)

    bob.crash()
    world.cut = lambda _a, _b: True
    bob.start()
    world.run(0.1)

    assert disputes(bob, liar.id)
    assert only_case(bob) == case
    assert case.found_at == world.now.wall_us - 200_000


def test_evidence_on_disk_that_is_not_what_was_signed_opens_no_dispute() -> None:
    world = joined(3)
    liar, evidence = liar_in(world)
    bob = world.nodes[1]
    tell(world.nodes[0], bob, evidence)
    bob.crash()
    case = next(iter(bob.disk.evidence.values()))
    assert isinstance(case.evidence, Evidence)
    rotten = replace(case.evidence, second=replace(case.evidence.second, signature=bytes(64)))
    bob.disk.evidence = {case.id: replace(case, evidence=rotten)}

    world.cut = lambda _a, _b: True
    bob.start()

    assert not disputes(bob, liar.id)
    assert not ids(bob)


def test_a_node_that_was_away_learns_of_the_dispute_when_it_is_back() -> None:
    world = joined()
    liar, evidence = liar_in(world)
    late = world.nodes[2]
    world.cut = lambda a, b: late in (a, b)
    tell(world.nodes[0], world.nodes[1], evidence)
    world.run(10)
    assert not ids(late)

    heal(world)
    world.run_until(lambda: disputes(late, liar.id), within=5)

    assert ids(late) == ids(world.nodes[0])


def test_a_newcomer_learns_of_disputes_with_its_join() -> None:
    world = World(4)
    for node in world.nodes[:3]:
        node.start()
    for node in world.nodes[1:3]:
        node.join(world.nodes[0])
    world.run(3)
    liar, newcomer = world.nodes[2], world.nodes[3]
    evidence = fork_by(liar)
    liar.crash()
    tell(world.nodes[1], world.nodes[0], evidence)
    world.run(0.1)

    newcomer.start()
    newcomer.join(world.nodes[0])
    world.run_until(lambda: disputes(newcomer, liar.id), within=0.5)

    assert only_case(newcomer).reported_by == world.nodes[0].id


def settled_world() -> tuple[World, Node, Node]:
    """The third node has forked and merged; the fourth was away all the while."""
    world = joined()
    node, late = world.nodes[2], world.nodes[3]
    disk = node.disk.copy()
    node.propose(service(port=2))
    world.run(0.2)
    node.crash()
    world.cut = lambda a, b: late in (a, b) or b is node
    node.disk = disk
    node.start()
    # Whoever answered its deliveries would tell it what it forgot.
    ask = world.request
    world.request = lambda sender, request: (  # type: ignore[method-assign]
        None if is_delivery(request) else ask(sender, request)
    )
    node.propose(service(port=3))
    world.run(4)
    world.request = ask  # type: ignore[method-assign]
    assert disputes(world.nodes[0], node.id)
    world.cut = lambda a, b: late in (a, b)
    node.propose(service(port=4))
    world.run(3)
    return world, node, late


def test_a_merge_settles_the_case_everywhere_and_on_disk() -> None:
    world, node, late = settled_world()

    for peer in (n for n in world.live() if n is not late):
        case = only_case(peer)
        assert case.settlement is not None
        assert case.settlement.merge is not None
        assert len(case.settlement.merge.parents) == 2
        assert peer.disk.evidence[case.id] == case
        assert any(isinstance(event, ForkSettled) for _, event in peer.events)
        assert not disputes(peer, node.id)
    assert not ids(late)


def test_who_was_away_learns_what_was_settled_meanwhile_without_opening_it_again() -> None:
    world, node, late = settled_world()
    for port in range(100, 140):  # so that the merge itself is not kept any more
        node.propose(service(port=port))
        world.run(0.05)

    heal(world)
    world.run_until(lambda: bool(ids(late)), within=10)

    assert only_case(late).settlement is not None
    assert not disputes(late, node.id)
    assert not any(isinstance(event, ForkFound) for _, event in late.events)


def test_a_fork_settled_before_anybody_knew_of_it_is_told_to_all_and_opens_nothing() -> None:
    world = joined()
    owner = world.nodes[2]
    known, unknown = fork_by(owner, 1), fork_by(owner, 2)
    tell(world.nodes[0], world.nodes[1], known)
    world.run(1)
    assert all(only_case(node).settlement is not None for node in world.nodes)

    tell(world.nodes[0], world.nodes[1], unknown)
    world.run(0.5)

    assert [len(ids(node)) for node in world.nodes] == [2] * len(world.nodes)
    assert not any(disputes(node, owner.id) for node in world.nodes)


def test_a_merge_that_its_owner_did_not_sign_settles_nothing() -> None:
    world = joined()
    liar, evidence = liar_in(world)
    alice, bob = world.nodes[:2]
    draft = Draft(
        owner=liar.id, dot=Dot(0, 2**60), parents=(b"a" * 32, b"b" * 32), issued_at=1,
        state_root=bytes(32),
    )  # fmt: skip
    forged = make_commit(draft, (), key=alice.keys, cluster=CLUSTER).head
    tell(alice, bob, evidence)
    (request,) = (e for e in bob.peer.join(alice.address, now=world.now) if isinstance(e, Request))
    told = (Reported(evidence, forged),)
    answer = SyncAnswer((), more=False, gossip=Gossip(), evidence=told)

    effects = bob.peer.answered(request.ticket, encode_answer(answer), alice.id, now=world.now)

    assert [e.reason for e in effects if isinstance(e, Drop)] == ["bad_signature"]
    assert disputes(bob, liar.id)
    assert only_case(bob).open


def test_who_asks_for_what_follows_a_step_that_we_do_not_know_is_told_to_fetch() -> None:
    """One of the two may hold the other half of a fork: no steps would ever show it."""
    world = joined(3)
    alice, bob, carol = world.nodes
    branch = bob.peer.registry.branch(alice.id)
    assert branch is not None
    assert branch.head is not None
    kind, body = encode(want_of(alice.id, b"?" * 32))

    world.datagrams = []
    give(carol, bob, kind, body)
    world.run(0.01)

    told = [datagram for sender, to, datagram in world.datagrams if (sender, to) == (bob, carol)]
    adverts = [one for one in map(inspect, told) if one[0] is DatagramKind.ADVERT]
    assert len(adverts) == 1
