"""Two nodes that differ in little find it by their trees; who shows less than it promised is left.

Owners beside the nodes themselves are authors whose branches a test hands to a node's registry.
"""

from collections.abc import Callable

import pytest

from protocol.clocks import Instant
from protocol.commits import Dot, Head, Manifest, RecordKey
from protocol.detector.detection import Gossip
from protocol.effects import Drop, Effect, KeepChain, KeepManifest, Request
from protocol.history.outcomes import AppliedStep
from protocol.identity import Address, NodeId
from protocol.merkle import Branching
from protocol.records import Kind
from protocol.registry import Registry
from protocol.signing import mac_key
from protocol.sync.comparison import ROUNDS_MAX, Compared, Comparison
from protocol.sync.completeness import TRIES_MAX
from protocol.sync.credit import RECOVERY_S
from protocol.sync.descent import Fault
from protocol.sync.repair import VECTOR_OWNERS_MAX, WHOLE_RECORDS_MAX, Repair
from protocol.sync.trees import LEAVES_KEPT_MAX, TREES_KEPT_MAX, Trees
from protocol.wire import exchange
from protocol.wire.exchange import (
    Bundle,
    FetchAnswer,
    FetchRequest,
    StreamAnswer,
    StreamRequest,
    SyncAnswer,
    SyncRequest,
)
from protocol.wire.messages import Advert, Advertised, DatagramKind, encode, seal
from protocol.wire.trees import Children, NodesShown, TreeAnswer, TreeRequest

from .author import Author
from .peer_world import CLUSTER, TRUST, Node, World, service

MANY = VECTOR_OWNERS_MAX + 40
LARGE = WHOLE_RECORDS_MAX + 200
LATER_S = 5.0
"""Until what was given to a registry by hand counts as settled."""


def author(number: int, records: int = 1) -> Author:
    one = Author(1_000 + number)
    for first in range(0, records, 500):
        ports = range(first + 1, min(first + 500, records) + 1)
        one.commit(*(service(port=port) for port in ports))
    return one


def give(node: Node, *authors: Author) -> None:
    """As if the node had got these long ago, and no steps with them."""
    for one in authors:
        node.peer.registry.learn(one.chain.packed())
        node.peer.registry.adopt(one.manifest(), now=node.world.time)
        node.disk.write(KeepChain(one.chain))
        node.disk.write(KeepManifest(one.manifest()))


def pair() -> World:
    world = World(2).start_joined()
    world.run(LATER_S)
    world.frames = []
    return world


def requests(world: World, asker: Node | None = None) -> list[StreamRequest]:
    assert world.frames is not None
    return [
        exchange.decode_request(request)
        for sender, _, request, _ in world.frames
        if asker in (None, sender)
    ]


def same_root(world: World) -> Callable[[], bool]:
    return lambda: len({node.peer.registry.root for node in world.live()}) == 1


def test_few_of_many_owners_are_found_by_the_tree_and_only_they_are_asked_for() -> None:
    world = pair()
    ours, theirs = world.nodes
    authors = [author(number) for number in range(MANY)]
    give(ours, *authors)
    give(theirs, *authors)
    for one in authors[:3]:
        one.commit(service(port=9_000))
    give(theirs, *authors[:3], author(MANY))

    world.run_until(same_root(world), within=15)

    syncs = [one for one in requests(world, ours) if isinstance(one, SyncRequest)]
    assert any(isinstance(one, TreeRequest) for one in requests(world, ours))
    assert all(not one.whole for one in syncs)
    assert max(len(one.vector) for one in syncs) == 4
    assert ours.peer.credit.withheld == theirs.peer.credit.withheld == 0


def test_few_owners_are_compared_by_the_vector_in_one_round_trip() -> None:
    world = pair()
    give(world.nodes[1], author(1))

    world.run_until(same_root(world), within=15)

    first = requests(world)[0]
    assert isinstance(first, SyncRequest)
    assert first.whole


def test_a_large_state_that_differs_in_little_is_mended_and_lasts_over_a_restart() -> None:
    world = pair()
    ours, theirs = world.nodes
    one = author(1, LARGE)
    give(ours, one)
    give(theirs, one)
    one.commit(
        *(service(port=port, version="new") for port in (1, 2, 3)),
        remove=(RecordKey(Kind.SERVICE, "web/web-4"),),
    )
    give(theirs, one)

    world.run_until(same_root(world), within=15)

    assert world.frames is not None
    trees = [f for f in world.frames if isinstance(exchange.decode_request(f[2]), TreeRequest)]
    whole = sum(len(r.body) for r in one.manifest().records)
    assert sum(len(request) + len(answer or b"") for _, _, request, answer in trees) < whole / 3
    assert not any(isinstance(r, FetchRequest) for r in requests(world))
    branch = ours.peer.registry.branch(one.id)
    assert branch is not None
    assert branch.manifest() == one.manifest()
    assert {r.key: r for r in ours.disk.branches[one.id].records} == {
        r.key: r for r in one.manifest().records
    }
    services = {i.service.version for i in ours.peer.registry.instances("web") if i.owner == one.id}
    assert services == {"", "new"}
    ours.crash()
    ours.start()
    assert ours.peer.unrestored == []


def test_an_owner_that_goes_on_is_compared_as_it_was() -> None:
    one = author(1, LARGE)
    here, there = Registry(TRUST), Registry(TRUST)
    for registry in (here, there):
        registry.learn(one.chain.packed())
        registry.adopt(one.manifest(), now=0.0)
    showing = Repair(there, rng=World(0).rng)
    there.offer(one.id, [one.commit(service(port=9_001))], now=1.0)
    old, at = here.branch(one.id), there.branch(one.id)
    assert old is not None
    assert at is not None
    head = at.head
    assert head is not None
    comparison = Comparison([Compared(old.tree, head)])
    rounds = 0
    while request := comparison.request():
        rounds += 1
        answer = showing.answer_tree(request)
        comparison.take(answer, 100)
        there.offer(one.id, [one.commit(service(port=9_001 + rounds))], now=1.0)

    (tree,) = comparison.trees
    mend = tree.mend()
    assert rounds > 2
    assert mend is not None
    assert isinstance(here.mend(mend, now=2.0), AppliedStep)
    assert old.head == head


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda _: TreeAnswer(()), Fault.LIED),
        (lambda _: TreeAnswer((NodesShown(b"", ()),)), Fault.GONE),
        (lambda a: TreeAnswer((NodesShown(a.trees[0].at, ()),)), Fault.WITHHELD),
        (lambda a: TreeAnswer((NodesShown(bytes(32), a.trees[0].nodes),)), Fault.LIED),
        (lambda a: TreeAnswer((NodesShown(a.trees[0].at, a.trees[0].nodes * 2),)), Fault.LIED),
        (
            lambda a: TreeAnswer((NodesShown(a.trees[0].at, (Children(b"\1\0" + bytes(32)),)),)),
            Fault.LIED,
        ),
    ],
)
def test_what_a_comparison_is_not_shown_rightly_ends_it_with_the_reason(
    spoil: Callable[[TreeAnswer], TreeAnswer], fault: Fault
) -> None:
    one = author(1, LARGE)
    there = Registry(TRUST)
    there.learn(one.chain.packed())
    there.adopt(one.manifest(), now=0.0)
    branch = there.branch(one.id)
    assert branch is not None
    comparison = Comparison([Compared(Author(2).branch.tree, branch.head)])
    request = comparison.request()
    assert request is not None

    comparison.take(spoil(Repair(there, rng=World(0).rng).answer_tree(request)), 100)

    assert comparison.request() is None
    assert comparison.trees[0].fault is fault
    assert comparison.trees[0].mend() is None


def test_a_comparison_ends_after_so_many_rounds_or_bytes() -> None:
    for rounds_due, size in ((ROUNDS_MAX, 1), (2, 10**7)):
        one = author(1, LARGE)
        there = Registry(TRUST)
        there.learn(one.chain.packed())
        there.adopt(one.manifest(), now=0.0)
        branch = there.branch(one.id)
        assert branch is not None
        comparison = Comparison([Compared(Author(2).branch.tree, branch.head)])
        rounds = 0
        while request := comparison.request():
            rounds += 1
            answer = Repair(there, rng=World(0).rng).answer_tree(request)
            slow = NodesShown(answer.trees[0].at, answer.trees[0].nodes[:1])  # one node a round
            comparison.take(TreeAnswer((slow,)), size)
        assert rounds == rounds_due
        assert comparison.trees[0].fault is Fault.TOO_MUCH


def test_what_is_kept_for_those_who_ask_is_bounded_and_what_fell_out_is_gone() -> None:
    registry = Registry(TRUST)
    trees = Trees(registry)
    authors = [author(number) for number in range(TREES_KEPT_MAX + 5)]
    heads = []
    for one in authors:
        branch, _ = registry.learn(one.chain.packed())
        registry.adopt(one.manifest(), now=0.0)
        assert branch.head is not None
        trees.keep_state(branch)
        heads.append(branch.head)
        registry.offer(one.id, [one.commit(service(port=9))], now=0.0)

    assert len(trees) == TREES_KEPT_MAX < LEAVES_KEPT_MAX
    for head, held in ((heads[0], b""), (heads[-1], heads[-1].hash)):
        wanted = Comparison([Compared(Author(2).branch.tree, head)]).request()
        assert wanted is not None
        assert trees.answer(wanted, 10**6).trees[0].at == held


def lone_head(node: Node, head: Head, one: Author) -> Request:
    """The node was told of this head by a peer that joined it, and asks what is behind it."""
    (join,) = node.peer.join(node.address, now=node.world.now)
    assert isinstance(join, Request)
    bundle = Bundle(tuple(one.chain.packed()), head)
    answer = exchange.encode_answer(SyncAnswer((bundle,), more=False, gossip=Gossip()))
    effects = node.peer.answered(join.ticket, answer, one.id, now=node.world.now)
    (request,) = asked(effects)
    return request


def asked(effects: list[Effect]) -> list[Request]:
    return [effect for effect in effects if isinstance(effect, Request)]


def answered(node: Node, request: Request, answer: StreamAnswer, by: NodeId) -> list[Effect]:
    frame = exchange.encode_answer(answer)
    return node.peer.answered(request.ticket, frame, by, now=node.world.now)


def test_records_that_do_not_come_out_at_the_signed_root_make_us_ask_for_all_of_them() -> None:
    # Its owner signed a root that no tree of ours has: a branch above a single leaf.
    world = World(1)
    (node,) = world.nodes
    node.start()
    world.run(0.1)
    one = author(1)
    give(node, one)
    (leaf,) = (one.branch.tree.leaf(path) for path, _ in one.branch.tree.leaves())
    assert leaf is not None
    place = leaf.path[0] >> 4
    top = Branching(tuple(leaf if at == place else None for at in range(16)))
    before = one.manifest().head
    commit = one.signed((), parents=(before.hash,), version=before.version + 1, root=top.digest)

    compare = lone_head(node, commit.head, one)
    shown = NodesShown(commit.head.hash, (Children(top.shown()),))
    effects = answered(node, compare, TreeAnswer((shown,)), one.id)

    # The leaf is ours already, so nothing differs, and yet the root does not come out.
    assert [e.reason for e in effects if isinstance(e, Drop)] == ["root_mismatch"]
    (fetch,) = asked(effects)
    request = exchange.decode_request(fetch.body)
    assert isinstance(request, FetchRequest)
    assert request.known == bytes(32), "everything"
    whole = Bundle(tuple(one.chain.packed()), Manifest(commit.head, one.manifest().records))
    assert asked(answered(node, fetch, FetchAnswer(whole), one.id)) == []
    assert node.peer.credit.lies == 1


def test_what_one_advertises_and_does_not_show_is_asked_of_its_owner_and_then_of_others() -> None:
    world = World(7).start_together()
    world.run(LATER_S)
    node, liar, owner = world.nodes[:3]
    head = owner.peer.registry.branch(owner.id)
    assert head is not None
    promised = Advertised(owner.id, Dot(0, head.dot.version + 1), bytes(32), large=True)
    world.cut = lambda _a, _b: True  # answers are handed in here

    kind, body = encode(Advert((promised,)))
    key = liar.keys.agree(node.keys.public_key)
    assert key is not None
    datagram = seal(liar.id, mac_key(key, CLUSTER), kind, body)
    requests = asked(node.peer.receive(datagram, liar.address, now=world.now))
    tried = []
    while requests:
        (request,) = requests
        assert request.expected is not None
        tried.append(request.expected)
        requests = asked(answered(node, request, FetchAnswer(None), request.expected))

    assert tried[:2] == [liar.id, owner.id]
    assert len(tried) == len(set(tried)) == TRIES_MAX
    assert node.peer.credit.of(liar.id, now=world.time).withheld == 1
    assert node.peer.credit.withheld == 1, "whoever never said that it holds it owes nothing"


def test_on_the_word_of_a_peer_that_keeps_nothing_of_it_nobody_else_is_troubled() -> None:
    world = World(7).start_together()
    world.run(LATER_S)
    node, liar = world.nodes[:2]
    before = node.peer.credit.score(liar.id, now=world.time)
    elsewhere = []
    for number in range(8):
        (join,) = node.peer.join(liar.address, now=world.now)
        assert isinstance(join, Request)
        one = author(number)
        bundle = Bundle(tuple(one.chain.packed()), one.manifest().head)
        answer = SyncAnswer((bundle,), more=False, gossip=Gossip())
        (fetch,) = asked(answered(node, join, answer, liar.id))
        elsewhere.append(len(asked(answered(node, fetch, FetchAnswer(None), liar.id))))

    after = node.peer.credit.score(liar.id, now=world.time)
    assert before == 1.0
    assert after == pytest.approx(0.7**8)
    assert elsewhere == [1, 1, 1, 1, 0, 0, 0, 0]
    assert 0.49 < node.peer.credit.score(liar.id, now=world.time + RECOVERY_S) < 0.55


class Deaf(World):
    """Pushes, adverts and wants never arrive: only repair brings anything."""

    asks_nobody: Node | None = None

    def request(self, sender: Node, request: Request) -> None:
        if sender is not self.asks_nobody:
            super().request(sender, request)

    def send(self, sender: Node, to: Address, datagram: bytes) -> None:
        kinds = (DatagramKind.PUSH, DatagramKind.ADVERT, DatagramKind.WANT)
        if DatagramKind(datagram[1]) not in kinds:
            super().send(sender, to, datagram)


def withhold(node: Node) -> None:
    """From now on it shows nothing of what it promises in its vectors, heads and roots."""
    serve = node.peer.serve

    def less(
        frame: bytes, caller: NodeId, source: Address, *, now: Instant
    ) -> tuple[bytes | None, list[Effect]]:
        answer, effects = serve(frame, caller, source, now=now)
        said = exchange.decode_answer(answer or b"")
        if isinstance(said, SyncAnswer):
            said = SyncAnswer((), more=False, gossip=Gossip())
        elif isinstance(said, FetchAnswer):
            said = FetchAnswer(None)
        return exchange.encode_answer(said), effects

    node.peer.serve = less  # type: ignore[method-assign]


def test_a_peer_that_withholds_is_noticed_and_others_are_asked_at_once() -> None:
    world = Deaf(6).start_together()
    world.run(LATER_S)
    *honest, villain = world.nodes
    victim, owner = honest[0], honest[1]
    withhold(villain)

    owner.propose(service("news", 1))
    world.run(0.01)
    villain.join(owner)
    world.run(0.01)
    assert world.holding("news") == [owner.number, villain.number]
    villain.join(victim)  # and so says that it holds more
    world.run_until(lambda: victim.number in world.holding("news"), within=0.5)

    account = victim.peer.credit.of(villain.id, now=world.time)
    assert account.withheld == victim.peer.credit.withheld == 1
    assert account.score < 1.0
    world.run_until(same_root(world), within=20)
    assert sum(node.peer.credit.lies for node in world.nodes) == 0
    assert all(
        node.peer.credit.of(one.id, now=world.time).score == 1.0
        for node in world.nodes
        for one in honest
    ), "nobody else is blamed"


def test_a_sync_that_found_nothing_is_followed_by_one_that_binds_the_peer_to_its_tree() -> None:
    world = Deaf(2)
    world.start_together().run(LATER_S)
    victim, villain = world.nodes
    withhold(villain)
    world.asks_nobody = villain  # or its own vector would say what it holds
    world.frames = []

    villain.propose(service("news", 1))
    world.run_until(lambda: victim.peer.credit.withheld > 0, within=30)

    kinds = [type(one) for one in requests(world, victim)]
    assert kinds == [SyncRequest, TreeRequest, TreeRequest, SyncRequest]
    assert victim.peer.credit.of(villain.id, now=world.time).withheld == 1
