"""An owner that is put back to old disks, again and again, loses nothing, brings nothing back."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.agreement import documents, lives
from protocol.agreement.documents import joined
from protocol.authoring import Authoring
from protocol.bodies import decode, key_of
from protocol.branch import Branch
from protocol.clocks import HybridClock, Instant, bounded, covers
from protocol.commits import Manifest, RecordKey
from protocol.errors import RemoteProtocolError
from protocol.history.outcomes import AppliedStep
from protocol.records import DocumentRecord, Kind, NodeRecord, ServiceRecord

from .author import Author
from .laws import law
from .peer_world import TRUST, service

AUTHOR = Author()
NODE = NodeRecord(name="n1", host="10.0.0.1", port=8401, api_host="10.0.0.1", api_port=8400)


class Owner:
    """An owner whose process starts again and again, from whichever disk."""

    def __init__(self) -> None:
        self.time = 1_000
        self.disk = Branch(AUTHOR.chain, TRUST)
        self.disk.is_own = True
        self.branch = self.disk
        self.disks: list[Branch] = []
        """As it was after each commit."""
        self.born(Branch(AUTHOR.chain, TRUST))

    def born(self, disk: Branch) -> None:
        """Start with that disk, hearing nobody."""
        self.time += 10
        self.branch = disk.copy(TRUST, decode)
        self.branch.is_own = True
        self.authoring = Authoring(
            self.branch, AUTHOR.key(0), TRUST, last=self.branch.dot, clock=HybridClock(),
            born=self.time if disk.head else 0,
        )  # fmt: skip
        self.authoring.open = True
        self.authoring.stage({key_of(NODE): NODE}, None)
        self.land()

    def land(self) -> None:
        """Sign what there is to be signed."""
        self.time += 1
        while self.authoring.next(Instant(0.0, self.time)) is not None:
            landed = self.authoring.landed()
            if landed.base is not None:
                self.branch.adopt(landed.base, even_older=True)
            assert isinstance(self.branch.offer([landed.commit]), AppliedStep)
            self.disks.append(self.branch.copy(TRUST, decode))

    def set(self, port: int, version: str = "") -> None:
        body = service(port=port, version=version)
        self.authoring.stage({key_of(body): body}, None)
        self.land()

    def remove(self, port: int) -> None:
        self.authoring.stage({key_of(service(port=port)): None}, None)
        self.land()

    def hear(self, state: Branch) -> None:
        """Somebody shows a state of ours; do with it what `intake` does."""
        manifest = manifest_of(state)
        if self.authoring.forgot(manifest.head.dot, manifest.head.hash):
            self.authoring.merge_with(manifest)
            self.land()

    def held(self) -> dict[int, str]:
        return {
            body.port: body.version
            for body in self.branch.bodies.values()
            if isinstance(body, ServiceRecord)
        }


def manifest_of(branch: Branch) -> Manifest:
    manifest = branch.manifest()
    assert manifest is not None
    return manifest


def three_lives() -> tuple[Owner, Branch, Branch]:
    """All fork from web-1, web-2: the first and second are shown by others, the third lives."""
    owner = Owner()
    owner.set(1, "base")
    owner.set(2, "base")
    old = owner.disks[-1]
    owner.set(1, "first")
    owner.set(3, "first")
    owner.set(4, "first")
    first = owner.disks[-1]
    owner.born(old)
    owner.remove(1)
    owner.set(4, "second")
    owner.set(5, "second")
    second = owner.disks[-1]
    owner.born(old)
    owner.set(5, "third")
    owner.remove(2)
    return owner, first, second


@pytest.mark.parametrize("order", ["first second", "second first", "first", "second"])
def test_of_any_number_of_forgotten_lives_the_later_word_on_each_key_stands(order: str) -> None:
    owner, first, second = three_lives()
    assert owner.held() == {1: "base", 5: "third"}

    for shown in order.split():
        owner.hear({"first": first, "second": second}[shown])

    expected = {
        "first": {1: "first", 3: "first", 4: "first", 5: "third"},
        "second": {4: "second", 5: "third"},
    }
    both = {3: "first", 4: "second", 5: "third"}
    assert owner.held() == expected.get(order, both)


def test_neither_a_restart_nor_many_commits_between_make_a_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "OWN_STEPS_KEPT", 2)
    owner, first, second = three_lives()
    for _ in range(3):
        owner.set(6, "third")
    owner.born(owner.disks[-1])
    owner.hear(first)
    owner.born(owner.disks[-1])
    owner.hear(second)

    assert owner.held() == {3: "first", 4: "second", 5: "third", 6: "third"}


def test_what_is_known_is_not_forgotten_after_a_merge_nor_after_a_restart() -> None:
    owner, first, second = three_lives()
    ours = owner.disks[-1]
    owner.hear(second)
    for _ in range(2):
        for state in (second, ours, owner.disks[-1]):
            head = manifest_of(state).head
            assert not owner.authoring.forgot(head.dot, head.hash)
        head = manifest_of(first).head
        assert owner.authoring.forgot(head.dot, head.hash), "the merged one did not know it either"
        owner.born(owner.disks[-1])


def test_two_that_wait_are_both_merged() -> None:
    owner, first, second = three_lives()
    for state in (second, first):
        owner.authoring.merge_with(manifest_of(state))
    owner.land()

    assert owner.held() == {3: "first", 4: "second", 5: "third"}


def test_a_state_that_lacks_what_we_hold_is_not_one_to_go_on_from() -> None:
    owner, first, second = three_lives()
    third = manifest_of(owner.disks[-1])
    owner.hear(second)
    merged = manifest_of(owner.disks[-1])
    assert not owner.authoring.strays(merged)

    owner.born(second)
    assert owner.authoring.strays(third)
    assert owner.authoring.strays(manifest_of(first))


def test_a_node_record_that_cannot_be_read_is_refused() -> None:
    owner = Owner()
    manifest = manifest_of(owner.branch)
    broken = replace(manifest, records=(manifest.records[0]._replace(body=b"\x90"),))

    with pytest.raises(RemoteProtocolError):
        owner.authoring.strays(broken)


def test_only_so_many_lives_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = ((0, 4), (10, 14), (20, 24), (30, 34))
    assert bounded(spans, 4) == spans
    assert bounded(spans, 2) == ((0, 24), (30, 34))

    monkeypatch.setattr(limits, "LIVES_MAX", 3)
    owner = Owner()
    for _ in range(10):
        owner.born(owner.disks[-1])
    node = owner.branch.node
    assert node is not None
    assert len(node.lives) == 3
    head = manifest_of(owner.branch).head
    assert covers(lives.known_at(head, node), head.version)


def edit(owner: Owner, **fields: str) -> None:
    """Write a document as a node does: from its own word, which is all that it has."""
    key = RecordKey(Kind.DOCUMENT, "plan")
    own = owner.branch.bodies.get(key)
    words = {AUTHOR.id: own} if isinstance(own, DocumentRecord) else {}
    made: dict[str, bytes | None] = {name: value.encode() for name, value in fields.items()}
    born = owner.authoring.born
    owner.time += 1
    word = documents.write(joined("plan", words), made, AUTHOR.id, owner.time, born=born)
    owner.authoring.stage({key: word}, None)
    owner.land()


def shown(owner: Owner) -> dict[str, set[bytes]]:
    word = owner.branch.bodies[RecordKey(Kind.DOCUMENT, "plan")]
    assert isinstance(word, DocumentRecord)
    fields = joined("plan", {AUTHOR.id: word}).fields
    return {name: {entry.value for entry in entries} for name, entries in fields.items()}


def test_of_a_document_all_that_any_life_wrote_stands_until_somebody_who_saw_it_writes() -> None:
    owner = Owner()
    edit(owner, a="1")
    old = owner.disks[-1]
    edit(owner, a="2", b="2")
    first = owner.disks[-1]
    owner.born(old)
    edit(owner, c="3")
    second = owner.disks[-1]
    owner.born(old)
    edit(owner, b="4")

    owner.hear(first)
    owner.hear(second)
    assert shown(owner) == {"a": {b"2"}, "b": {b"2", b"4"}, "c": {b"3"}}
    owner.born(owner.disks[-1])
    owner.hear(first)
    edit(owner, b="5")

    assert shown(owner) == {"a": {b"2"}, "b": {b"5"}, "c": {b"3"}}


@pytest.mark.parametrize("older", [True, False])
def test_a_word_on_a_document_that_was_taken_back_comes_back_only_with_news(older: bool) -> None:
    owner = Owner()
    edit(owner, a="1")
    old = owner.disks[-1]
    edit(owner, a="2") if older else owner.set(1)
    forgotten = owner.disks[-1]
    owner.born(old)
    owner.authoring.stage({RecordKey(Kind.DOCUMENT, "plan"): None}, None)
    owner.land()

    owner.hear(forgotten)

    assert (RecordKey(Kind.DOCUMENT, "plan") in owner.branch.records) == older


PORTS = st.integers(1, 4)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), PORTS), st.tuples(st.just("remove"), PORTS),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("old disk"), st.integers(0, 30)),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


@law
@given(deeds=DEEDS, order=st.randoms(use_true_random=False))
def test_whatever_happens_all_lives_merged_are_what_one_life_would_have_been(
    deeds: list[tuple[str, int]], order: Random
) -> None:
    """Words on keys that were there before the first old disk: all lives know where those began.

    (A key that two lives made anew, and one of them removed before it was forgotten, is another
    matter: nothing says that it was there.)
    """
    owner = Owner()
    for port in range(1, 5):
        owner.set(port, "base")
    begun = len(owner.disks)
    expected = owner.held()
    gone: set[int] = set()
    tips: list[Branch] = []
    for number, (deed, what) in enumerate(deeds):
        match deed:
            case "set" if what not in gone:
                owner.set(what, str(number))
                expected[what] = str(number)
            case "remove" if what in owner.held():
                owner.remove(what)
                expected.pop(what, None)
                gone.add(what)
            case "restart":
                owner.born(owner.disks[-1])
            case "old disk":
                tips.append(owner.disks[-1])
                owner.born(owner.disks[begun - 1 + what % (len(owner.disks) - begun + 1)])
            case _:
                pass
    order.shuffle(tips)
    for tip in tips:
        owner.hear(tip)

    assert owner.held() == expected
