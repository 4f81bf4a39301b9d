"""All branches together: indexes, the change index of each service, and the root."""

from dataclasses import replace

import pytest

from protocol import limits
from protocol.agreement.evidence import KeyFork, fork_of
from protocol.bodies import Body, key_of
from protocol.commits import Dot, RecordKey
from protocol.errors import BadKeyEventError, RefusedError
from protocol.history.outcomes import Old
from protocol.identity import (
    NO_NEXT_KEY,
    REVOCATION,
    ROTATION,
    KeyEvent,
    commitment,
    make_event,
)
from protocol.merkle import EMPTY_ROOT
from protocol.records import DocumentRecord, GuestRecord, NodeRecord, NodeType
from protocol.registry import SETTLE_S, Instance, Registry
from protocol.restored import RestoredBranch
from protocol.shared.journal import InstanceStep, Journal, OwnerStep, Step

from .author import Author
from .peer_world import CLUSTER, TRUST, service

WEB, WEB2, DB = service(port=1), service(port=2), service("db", port=3)
NODE = NodeRecord(name="n", host="10.0.0.1", port=1, api_host="10.0.0.1", api_port=2)
GUEST = GuestRecord(
    id="g", address="10.0.0.1:80", metrics_port=0, node_type=NodeType.PROXY,
    is_load_balancer=False, capabilities=("service",), last_updated=0, ttl_ms=1_000,
)  # fmt: skip


PAGES = (("page", 1), ("page", 2), ("other", 3))


def knowing(*authors: Author) -> Registry:
    registry = Registry(TRUST)
    for author in authors:
        registry.learn(author.chain.packed())
    return registry


def test_instances_are_found_by_service_whoever_owns_them() -> None:
    alice, bob = Author(1), Author(2)
    registry = knowing(alice, bob)
    registry.offer(alice.id, [alice.commit(NODE, WEB, DB)], now=0.0)
    registry.offer(bob.id, [bob.commit(WEB, WEB2)], now=0.0)

    assert list(registry.instances("web")) == [
        Instance(alice.id, WEB), Instance(bob.id, WEB), Instance(bob.id, WEB2)
    ]  # fmt: skip
    assert sorted(registry.services()) == ["db", "web"]
    assert registry.instance(bob.id, "web", "web-2") == Instance(bob.id, WEB2)
    assert registry.instance(alice.id, "web", "web-2") is None
    assert registry.node(alice.id) == NODE
    assert registry.node(bob.id) is None
    registry.offer(alice.id, [alice.commit(remove=(key_of(WEB), key_of(DB)))], now=0.0)
    assert list(registry.services()) == ["web"]
    assert registry.vector() == {alice.id: alice.branch.dot, bob.id: bob.branch.dot}


def test_documents_are_found_by_key_with_each_authors_word() -> None:
    alice, bob = Author(1), Author(2)
    registry = knowing(alice, bob)
    ours, theirs, other = (DocumentRecord(key=key, updated_at=at) for key, at in PAGES)
    registry.offer(alice.id, [alice.commit(ours, other)], now=0.0)
    registry.offer(bob.id, [bob.commit(theirs)], now=0.0)

    assert sorted(registry.documents()) == ["other", "page"]
    assert registry.document("page") == {alice.id: ours, bob.id: theirs}
    assert registry.document("nothing") == {}
    registry.offer(alice.id, [alice.commit(remove=(key_of(ours), key_of(other)))], now=0.0)
    assert list(registry.documents()) == ["page"]
    assert registry.document("page") == {bob.id: theirs}
    registry.reap(bob.id)
    assert list(registry.documents()) == []


def test_a_change_of_one_document_never_moves_the_index_of_another_or_of_services() -> None:
    alice = Author()
    registry = knowing(alice)
    ours, theirs, other = (DocumentRecord(key=key, updated_at=at) for key, at in PAGES)
    registry.offer(alice.id, [alice.commit(ours, other, WEB)], now=0.0)
    page, beside, services = (
        registry.index_of_document("page"), registry.index_of_document("other"), registry.index,
    )  # fmt: skip

    registry.offer(alice.id, [alice.commit(theirs)], now=0.0)

    assert registry.index_of_document("page") > page
    assert registry.index_of_document("other") == beside
    assert registry.index == services
    newest = registry.documents_index
    registry.offer(alice.id, [alice.commit(remove=(key_of(theirs),))], now=0.0)
    assert registry.index_of_document("page") > newest, "also when it goes"
    registry.offer(alice.id, [alice.commit(WEB2)], now=0.0)
    assert registry.documents_index == newest + 1


def test_a_change_of_one_service_never_moves_the_index_of_another() -> None:
    alice = Author()
    registry = knowing(alice)
    registry.offer(alice.id, [alice.commit(WEB, DB)], now=0.0)
    web, db, nothing = (registry.index_of(name) for name in ("web", "db", "nothing"))

    registry.offer(alice.id, [alice.commit(WEB2)], now=0.0)
    assert registry.index_of("web") > web
    assert registry.index_of("db") == db
    assert registry.index_of("nothing") == nothing

    web = registry.index_of("web")
    registry.offer(alice.id, [alice.commit(remove=(key_of(DB),))], now=0.0)
    assert registry.index_of("db") > db, "its last instance went"
    assert registry.index_of("web") == web
    db = registry.index_of("db")
    registry.offer(alice.id, [alice.commit(DB)], now=0.0)
    assert registry.index_of("db") > db


def test_a_manifest_that_changes_nothing_of_a_service_does_not_wake_its_watchers() -> None:
    alice = Author()
    registry = knowing(alice)
    registry.offer(alice.id, [alice.commit(WEB, DB)], now=0.0)
    web, db = registry.index_of("web"), registry.index_of("db")
    alice.commit(replace(DB, version="2"))

    registry.adopt(alice.manifest(), now=0.0)

    assert registry.index_of("web") == web
    assert registry.index_of("db") > db


def test_indexes_never_go_back_even_for_services_forgotten_long_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocol.registry._VANISHED_MAX", 3)
    alice = Author()
    registry = knowing(alice)
    highest: dict[str, int] = {}
    for number in range(10):
        one = service(f"s{number}")
        for commit in (alice.commit(one), alice.commit(remove=(key_of(one),))):
            registry.offer(alice.id, [commit], now=0.0)
            for name in (f"s{n}" for n in range(number + 1)):
                assert registry.index_of(name) >= highest.get(name, 0)
                highest[name] = registry.index_of(name)


def test_what_is_said_of_its_owner_touches_all_its_services() -> None:
    alice, bob = Author(1), Author(2)
    registry = knowing(alice, bob)
    registry.offer(alice.id, [alice.commit(WEB)], now=0.0)
    registry.offer(bob.id, [bob.commit(DB)], now=0.0)
    web, db = registry.index_of("web"), registry.index_of("db")

    registry.touch(alice.id)
    assert registry.index_of("web") > web
    assert registry.index_of("db") == db

    web = registry.index_of("web")
    registry.offer(alice.id, [alice.commit(NODE)], now=0.0)
    assert registry.index_of("web") > web, "its node record changed"


def test_the_root_does_not_depend_on_the_order_in_which_owners_were_heard() -> None:
    authors = [Author(number) for number in range(1, 6)]
    one, other = knowing(*authors), knowing(*reversed(authors))
    assert one.root == other.root == EMPTY_ROOT
    commits = [(author.id, author.commit(WEB)) for author in authors]
    commits += [(author.id, author.commit(DB)) for author in authors]
    for owner, commit in commits:
        one.offer(owner, [commit], now=0.0)
    for author in reversed(authors):
        other.adopt(author.manifest(), now=5.0)

    assert one.root == other.root != EMPTY_ROOT


def test_the_settled_root_leaves_out_owners_younger_than_two_seconds() -> None:
    alice, bob = Author(1), Author(2)
    registry, settled = knowing(alice, bob), knowing(alice, bob)
    registry.offer(alice.id, [alice.commit(WEB)], now=10.0)
    settled.adopt(alice.manifest(), now=0.0)

    assert registry.settled_root(10.0) == EMPTY_ROOT
    assert registry.settled_root(10.0 + SETTLE_S - 0.01) == EMPTY_ROOT
    assert registry.settled_root(10.0 + SETTLE_S) == registry.root == settled.root

    registry.offer(bob.id, [bob.commit(WEB)], now=20.0)
    assert registry.settled_root(20.0) == settled.root != registry.root
    registry.offer(bob.id, [bob.commit(DB)], now=21.5)
    assert registry.settled_root(22.5) == settled.root, "bob changed again meanwhile"
    assert registry.settled_root(23.5) == registry.root

    only_bob = knowing(bob)
    only_bob.adopt(bob.manifest(), now=0.0)
    registry.offer(alice.id, [alice.commit(WEB2)], now=30.0)
    assert registry.settled_root(30.0) == only_bob.root, "alice is left out, not held back"


def test_reaping_drops_what_is_looked_up_and_leaves_the_root() -> None:
    alice = Author()
    registry = knowing(alice)
    registry.offer(alice.id, [alice.commit(WEB, GUEST)], now=0.0)
    root, settled, web = registry.root, registry.settled_root(9.0), registry.index_of("web")

    assert registry.reap(alice.id) == alice.branch.head
    assert registry.reap(alice.id) is None

    assert (registry.root, registry.settled_root(99.0)) == (root, settled)
    assert not list(registry.services())
    assert not list(registry.guests())
    assert registry.index_of("web") > web
    assert list(registry.owners()) == [alice.id]


def test_the_head_of_an_owner_that_others_reaped_counts_for_the_root() -> None:
    alice = Author()
    there, here = knowing(alice), knowing(alice)
    there.offer(alice.id, [alice.commit(WEB)], now=0.0)
    head = there.reap(alice.id)
    assert head is not None

    assert here.adopt_reaped(head)
    assert not here.adopt_reaped(head)

    assert here.root == there.root == here.settled_root(0.0)
    with pytest.raises(RefusedError):
        knowing(alice).adopt_reaped(replace(head, signature=bytes(64)))


def test_each_hosts_word_on_a_guest_is_kept_apart() -> None:
    alice, bob = Author(1), Author(2)
    registry = knowing(alice, bob)
    other = replace(GUEST, critical=True)
    registry.offer(alice.id, [alice.commit(GUEST)], now=0.0)
    index = registry.index
    registry.offer(bob.id, [bob.commit(other)], now=0.0)

    assert registry.guest("g") == {alice.id: GUEST, bob.id: other}
    assert registry.index > index
    registry.offer(alice.id, [alice.commit(remove=(key_of(GUEST),))], now=0.0)
    assert list(registry.guests()) == [("g", {bob.id: other})]
    registry.offer(bob.id, [bob.commit(remove=(key_of(GUEST),))], now=0.0)
    assert registry.guest("g") == {}


def test_only_so_many_owners_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_MAX", 3)
    authors = [Author(number) for number in range(1, 5)]
    registry = knowing(*authors[:3])

    with pytest.raises(RefusedError) as refused:
        registry.learn(authors[3].chain.packed())

    assert refused.value.code == "limit"
    assert registry.branch(authors[3].id) is None
    assert registry.learn(authors[0].chain.packed())[1] is False, "a known one is no newcomer"


def test_a_longer_chain_replaces_a_shorter() -> None:
    alice = Author()
    registry = knowing(alice)
    short = alice.chain.packed()
    alice.rotate()

    assert registry.learn(alice.chain.packed())[1]
    assert not registry.learn(short)[1], "older events say nothing new"
    assert registry.chain(alice.id) == alice.chain
    with pytest.raises(BadKeyEventError):
        registry.learn([])


@pytest.mark.parametrize("smaller_first", [True, False])
def test_of_two_chains_the_smaller_hash_stands_whatever_their_lengths(smaller_first: bool) -> None:
    alice = Author()
    registry = knowing(alice)
    registry.offer(alice.id, [alice.commit(WEB)], now=0.0)
    one, other = sorted(
        (rotation(alice, promised) for promised in (alice.key(2).public_key, bytes(32))),
        key=lambda event: event.hash,
    )
    first, second = (one, other) if smaller_first else (other, one)
    inception = alice.events[0].pack()
    registry.learn([inception, first.pack()])

    if smaller_first:
        with pytest.raises(RefusedError) as refused:
            registry.learn([inception, second.pack()])
        assert refused.value.code == "stale"
    else:
        assert registry.learn([inception, second.pack()])[1]

    chain = registry.chain(alice.id)
    assert chain is not None
    assert chain.events[-1] == one
    assert registry.key_forks == {alice.id: KeyFork(alice.id, one, other)}
    assert names(registry) == ["web"], "the state of before stands"


def test_what_a_chain_signed_that_does_not_stand_is_dropped() -> None:
    alice = Author()
    registry = knowing(alice)
    registry.offer(alice.id, [alice.commit(WEB)], now=0.0)
    rivals = [rotation(alice, bytes((number,)) * 32) for number in range(9)]
    alice.rotate()
    registry.learn(alice.chain.packed())
    registry.offer(alice.id, [alice.commit(DB)], now=0.0)
    smaller = [event for event in rivals if event.hash < alice.events[1].hash]
    assert smaller, "another draw of promises would do"

    registry.learn([alice.events[0].pack(), smaller[0].pack()])

    branch = registry.branch(alice.id)
    assert branch is not None
    assert (branch.head, names(registry)) == (None, [])
    assert registry.root == Registry(TRUST).root


def rotation(alice: Author, promised: bytes) -> KeyEvent:
    return make_event(
        ROTATION, previous=alice.events[0], key=alice.key(1),
        next_commitment=commitment(promised), cluster=CLUSTER,
    )  # fmt: skip


def names(registry: Registry) -> list[str]:
    return sorted(registry.services())


def test_a_revocation_takes_the_records_and_is_what_the_root_has_of_its_owner() -> None:
    alice, bob = Author(1), Author(2)
    behind, ahead = knowing(alice, bob), knowing(alice, bob)
    first = alice.commit(WEB)
    behind.offer(alice.id, [first], now=0.0)
    ahead.offer(alice.id, [first], now=0.0)
    ahead.offer(alice.id, [alice.commit(DB)], now=0.0)
    end = make_event(
        REVOCATION, previous=alice.events[0], key=alice.key(1), next_commitment=NO_NEXT_KEY,
        cluster=CLUSTER,
    )  # fmt: skip
    packed = [alice.events[0].pack(), end.pack()]
    late = knowing(bob)

    for registry in (behind, ahead, late):
        registry.learn(packed, now=1.0)

    assert len({registry.root for registry in (behind, ahead, late)}) == 1
    assert len({registry.settled_root(4.0) for registry in (behind, ahead, late)}) == 1
    for registry in (behind, ahead, late):
        assert registry.vector()[alice.id] == Dot(1, 0)
        assert names(registry) == []
        assert registry.adopt(alice.manifest(), now=2.0) == Old()


def test_a_fork_is_marked_once_and_what_was_settled_is_not_disputed_again() -> None:
    alice = Author()
    registry = knowing(alice)
    registry.offer(alice.id, [alice.commit(WEB)], now=0.0)
    ours, theirs = alice.draft(DB), alice.draft(WEB2)
    evidence = fork_of(ours.head, theirs.head)
    assert evidence is not None
    web = registry.index_of("web")

    assert registry.dispute(evidence)
    assert not registry.dispute(evidence)
    assert registry.index_of("web") > web, "its instances are marked"

    alice.branch.offer([ours])
    registry.offer(alice.id, [ours], now=0.0)
    web = registry.index_of("web")
    merge = alice.signed((), parents=(ours.head.hash, theirs.head.hash), version=9)
    alice.branch.offer([merge])
    registry.offer(alice.id, [merge], now=0.0)
    branch = registry.branch(alice.id)
    assert branch is not None
    assert not branch.disputed
    assert registry.index_of("web") > web, "its instances are marked no more"
    for port in range(50):
        registry.offer(alice.id, [alice.commit(service(port=100 + port))], now=0.0)
    assert not registry.dispute(evidence), "old evidence replayed"


def test_a_dispute_keeps_no_roots_apart_and_its_owner_counts_again_once_it_is_merged() -> None:
    # Found by `kith sim --profile byzantine-hostile`: with one forker heartbeats carried another
    # root for half of the others, and syncs that find nothing double the wait before the next.
    alice = Author()
    base = alice.commit(WEB)
    ours, theirs = alice.draft(DB), alice.draft(WEB2)
    evidence = fork_of(ours.head, theirs.head)
    assert evidence is not None
    registries = [knowing(alice), knowing(alice)]
    for registry, side in zip(registries, (ours, theirs), strict=True):
        registry.offer(alice.id, [base], now=0.0)
        registry.offer(alice.id, [side], now=0.0)
    assert len({registry.settled_root(2.0) for registry in registries}) == 2

    for registry in registries:
        registry.dispute(evidence)

    assert {registry.settled_root(2.0) for registry in registries} == {EMPTY_ROOT}
    alice.branch.offer([ours])
    merge = alice.signed((), parents=(ours.head.hash, theirs.head.hash), version=9)
    registries[0].offer(alice.id, [merge], now=3.0)
    assert registries[0].settled_root(4.9) == EMPTY_ROOT
    assert registries[0].settled_root(5.0) == registries[0].root


def test_what_was_on_disk_is_looked_up_again() -> None:
    alice, mallory = Author(1), Author(2)
    commits = (alice.commit(WEB, DB), alice.commit(GUEST))
    manifest = alice.manifest()
    events = tuple(alice.chain.packed())
    stored = RestoredBranch(
        alice.id, events, manifest.head, commits, manifest.records, reaped=False
    )
    registry, heard = Registry(TRUST), knowing(alice)
    heard.adopt(manifest, now=0.0)

    registry.restore(stored)

    assert registry.root == heard.root == registry.settled_root(0.0)
    assert sorted(registry.services()) == ["db", "web"]
    assert registry.guest("g") == {alice.id: GUEST}
    with pytest.raises(RefusedError):
        Registry(TRUST).restore(replace(stored, owner=mallory.id))
    damaged = Registry(TRUST)
    with pytest.raises(RefusedError):
        damaged.restore(replace(stored, records=manifest.records[1:]))
    assert not list(damaged.services())
    reaped = Registry(TRUST)
    reaped.restore(replace(stored, records=(), commits=(), reaped=True))
    assert reaped.root == registry.root
    assert not list(reaped.services())


def test_what_others_have_held_for_long_is_settled_here_at_once() -> None:
    alice = Author()
    alice.commit(service())
    fresh, old = Registry(TRUST), Registry(TRUST)
    for registry in (fresh, old):
        registry.learn(alice.chain.packed())
    fresh.adopt(alice.manifest(), now=10.0)
    old.adopt(alice.manifest(), now=10.0, is_old=True)

    assert fresh.settled_root(10.0) == EMPTY_ROOT
    assert old.settled_root(10.0) == old.root == fresh.settled_root(12.0)

    commit = alice.commit(service(port=9))
    old.offer(alice.id, [commit], now=13.0)
    assert old.settled_root(13.0) == EMPTY_ROOT
    old.offer(alice.id, [alice.commit(service(port=10))], now=13.5, is_old=True)
    assert old.settled_root(13.5) == old.settled_root(20.0) == old.root


def test_steps_are_noted_while_somebody_wants_them_and_services_always() -> None:
    alice = Author()
    registry, journal = knowing(alice), Journal()
    newer = replace(WEB, version="2")
    registry.journal = journal

    def taken(*bodies: Body, remove: tuple[RecordKey, ...] = ()) -> tuple[list[str], list[Step]]:
        registry.offer(alice.id, [alice.commit(*bodies, remove=remove)], now=0.0)
        services, steps = journal.take()
        return list(services), steps

    assert taken(WEB, NODE) == (["web"], [])
    journal.keeps_steps = True
    assert taken(newer, DB) == (
        ["db", "web"], [InstanceStep(alice.id, None, DB), InstanceStep(alice.id, WEB, newer)]
    )  # fmt: skip
    assert taken(NODE) == (["db", "web"], [OwnerStep(alice.id)])
    assert taken(remove=(key_of(DB),)) == (["db"], [InstanceStep(alice.id, DB, None)])
    journal.keeps_steps = False
    assert taken(WEB, NODE) == (["web"], [])
