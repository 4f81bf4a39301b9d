"""Documents with several writers: the laws of the join, and that no write is lost."""

import functools
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, rules
from protocol.agreement import documents
from protocol.agreement.documents import OWNERS, Document, State, adopt, join, joined, state_of
from protocol.clocks import Spans, united
from protocol.errors import ProposalError
from protocol.identity import NodeId
from protocol.records import DocumentRecord, Entry
from protocol.wire import json_text

from .laws import law

KEY = "settings"
NOW_US = 1_700_000_000_000_000
WRITERS = [NodeId(bytes((number,)) * 32) for number in range(1, 5)]
A, B, C, D = WRITERS
Words = dict[NodeId, DocumentRecord]


def upto(*seen: tuple[NodeId, int]) -> tuple[tuple[NodeId, Spans], ...]:
    """A context of all that these writers wrote up to a counter each."""
    return tuple((writer, ((1, counter),)) for writer, counter in seen)


def text(value: object) -> bytes:
    return json_text.write(value)


def written(
    words: Words, writer: NodeId, at: int = 0, /, *, owners: list[NodeId] | None = None,
    **fields: object,
) -> Words:  # fmt: skip
    """The words after one more write by somebody who saw all of them; None removes a field."""
    made = {name: None if value is None else text(value) for name, value in fields.items()}
    word = documents.write(joined(KEY, words), made, writer, NOW_US + at, owners=owners)
    rules.check_document(word)
    return {**words, writer: word}


def shown(document: Document) -> dict[str, object]:
    return {name: json_text.read(value) for name, value in document.values().items()}


# Histories: writers that hear of each other now and then, and the oracle that knows all


@dataclass
class Writer:
    """One node's view: the words it has heard, and for each which writes stand behind it."""

    words: Words = field(default_factory=dict)
    behind: dict[NodeId, frozenset[int]] = field(default_factory=dict)

    def seen(self) -> frozenset[int]:
        return frozenset().union(*self.behind.values())


@dataclass(frozen=True)
class Done:
    """A write of the history: what it touched, and what its writer had seen."""

    number: int
    writer: NodeId
    fields: tuple[str, ...]
    value: bytes | None
    seen: frozenset[int]


class History:
    """Plays steps; `writes` is all that happened."""

    def __init__(self, steps: list[tuple[int, int, int]]) -> None:
        self.nodes = [Writer() for _ in WRITERS]
        self.writes: list[Done] = []
        for who, what, which in steps:
            self._play(who, what, which)

    def _play(self, who: int, what: int, which: int) -> None:
        node, me = self.nodes[who], WRITERS[who]
        before = joined(KEY, node.words)
        at = NOW_US + len(self.writes)
        if what < 4:
            fields = ("x", "y", "x", "z")[what : what + 1] + (("y",) if which == 3 else ())
            value = None if which == 2 else text([len(self.writes) % 3, which])
            word = documents.write(before, dict.fromkeys(fields, value), me, at)
            self._wrote(node, me, word, fields, value)
        elif what == 4 and before.exists:
            word = documents.delete(before, me, at)
            self._wrote(node, me, word, ("x", "y", "z"), None)
        elif what == 5 and me in node.words:
            if documents.is_needless(me, node.words, before):
                node.words.pop(me)
                node.behind.pop(me)
        elif what == 6 and node.words:
            node.words[me], node.behind[me] = adopt(before), node.seen()
        else:
            self._hear(node, which % len(WRITERS))

    def _wrote(
        self, node: Writer, me: NodeId, word: DocumentRecord, fields: tuple[str, ...],
        value: bytes | None,
    ) -> None:  # fmt: skip
        done = Done(len(self.writes), me, fields, value, node.seen())
        self.writes.append(done)
        node.words[me], node.behind[me] = word, node.seen() | {done.number}

    def _hear(self, node: Writer, other: int) -> None:
        """What the other says of itself now: its own word, or that it has none any more."""
        author = WRITERS[other]
        theirs = self.nodes[other]
        if author in theirs.words:
            node.words[author] = theirs.words[author]
            node.behind[author] = theirs.behind[author]
        else:
            node.words.pop(author, None)
            node.behind.pop(author, None)

    def words(self) -> Words:
        """Everybody's last word."""
        return {
            writer: node.words[writer]
            for writer, node in zip(WRITERS, self.nodes, strict=True)
            if writer in node.words
        }

    def standing(self) -> set[tuple[str, bytes]]:
        """By the whole history: what was written and not covered by a write that had seen it."""
        return {
            (name, one.value)
            for one in self.writes
            for name in one.fields
            if one.value is not None
            and not any(one.number in later.seen and name in later.fields for later in self.writes)
        }


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 3)), max_size=25)
HISTORIES = STEPS.map(History)
ENTRIES = st.builds(
    Entry, st.sampled_from(["", "x", "y"]), st.sampled_from(WRITERS[:3]), st.integers(1, 4),
    st.integers(0, 2), st.sampled_from([b"1", b"2"]),
)  # fmt: skip


@st.composite
def any_state(draw: st.DrawFn) -> State:
    """Any state that the rules let pass, also such as only a liar makes."""
    entries = {
        (one.field, one.writer, one.counter): one for one in draw(st.lists(ENTRIES, max_size=5))
    }
    context: dict[NodeId, Spans] = {}
    for writer in WRITERS[:3]:
        counters = draw(st.sets(st.integers(1, 4)))
        counters |= {one.counter for one in entries.values() if one.writer == writer}
        if counters:
            context[writer] = united((counter, counter) for counter in counters)
    return State(context, entries)


@law
@given(any_state(), any_state())
def test_the_join_is_commutative(a: State, b: State) -> None:
    assert join(a, b) == join(b, a)


@law
@given(any_state(), any_state(), any_state())
def test_the_join_is_associative(a: State, b: State, c: State) -> None:
    assert join(join(a, b), c) == join(a, join(b, c))


@law
@given(any_state(), any_state())
def test_the_join_is_idempotent_and_absorbs(a: State, b: State) -> None:
    both = join(a, b)

    assert join(a, a) == a
    assert join(both, a) == both
    assert join(both, b) == both


@law
@given(st.lists(any_state(), max_size=5))
def test_joining_many_at_once_is_joining_them_one_by_one(states: list[State]) -> None:
    assert join(*states) == functools.reduce(join, states, State())


@law
@given(HISTORIES, st.randoms(use_true_random=False))
def test_whoever_holds_the_same_words_sees_the_same_document(history: History, rng: Random) -> None:
    words = history.words()
    other = list(words.items())
    rng.shuffle(other)

    ours, theirs = joined(KEY, words), joined(KEY, dict(other))

    assert ours == theirs
    assert ours.version == theirs.version
    assert list(ours.fields) == list(theirs.fields)


@law
@given(HISTORIES)
def test_a_write_is_lost_only_to_one_that_had_seen_it(history: History) -> None:
    document = joined(KEY, history.words())

    stands = {(name, one.value) for name, entries in document.fields.items() for one in entries}
    assert stands == history.standing()


@law
@given(HISTORIES)
def test_fields_with_several_values_are_conflicts_and_no_others(history: History) -> None:
    document = joined(KEY, history.words())

    for name, entries in document.fields.items():
        values = {one.value for one in entries}
        assert (name in document.conflicts) == (len(values) > 1)
        if name in document.conflicts:
            decided = document.conflicts[name]
            assert decided.rule in ("later", "smaller_hash")
            assert decided.value == entries[0].value
            assert {votes.value for votes in decided.votes} == values


@law
@given(HISTORIES, st.sampled_from(WRITERS))
def test_a_write_that_sees_all_settles_all(history: History, writer: NodeId) -> None:
    words = history.words()
    before = joined(KEY, words)
    wanted = {"x": text("settled"), "y": text(0)}

    change = documents.changes(before, wanted)
    word = documents.write(before, change, writer, NOW_US + 100)
    after = joined(KEY, {**words, writer: word})

    assert after.values() == wanted
    assert not after.conflicts
    assert all(join(state_of(word), state_of(old)) == state_of(word) for old in words.values())


@law
@given(HISTORIES)
def test_what_a_writer_says_keeps_the_rules_and_travels_as_bytes(history: History) -> None:
    for word in history.words().values():
        rules.check_document(word)


# By example


def test_edits_of_different_fields_merge() -> None:
    both = written({}, A, x=1, y=1)
    ours, theirs = written(both, A, 5, x=2), written(both, B, 6, y=2)

    document = joined(KEY, {A: ours[A], B: theirs[B]})

    assert shown(document) == {"x": 2, "y": 2}
    assert not document.conflicts


def test_edits_of_one_field_are_a_conflict_until_a_later_write_settles_it() -> None:
    both = written({}, A, x=1)
    ours, theirs = written(both, A, 5, x="ours"), written(both, B, 6, x="theirs")
    words = {A: ours[A], B: theirs[B]}

    document = joined(KEY, words)

    assert shown(document) == {"x": "theirs"}, "the later one is shown"
    assert document.conflicts["x"].rule == "later"
    assert [(one.writer, one.value) for one in document.fields["x"]] == [
        (B, text("theirs")), (A, text("ours")),
    ]  # fmt: skip
    settled = joined(KEY, written(words, C, x="settled"))
    assert shown(settled) == {"x": "settled"}
    assert not settled.conflicts
    as_shown = documents.changes(document, document.values())
    assert as_shown == {"x": text("theirs")}, "also the shown value settles, where it is written"


def test_the_same_edit_on_both_sides_is_no_conflict() -> None:
    both = written({}, A, x=1)
    ours, theirs = written(both, A, 5, x=2), written(both, B, 6, x=2)

    document = joined(KEY, {A: ours[A], B: theirs[B]})

    assert len(document.fields["x"]) == 2
    assert not document.conflicts


def test_a_deletion_removes_what_it_saw_and_a_write_beside_it_survives() -> None:
    both = written({}, A, x=1, y=1)
    gone = {**both, A: documents.delete(joined(KEY, both), A, NOW_US + 5)}
    assert not joined(KEY, gone).exists
    assert shown(joined(KEY, gone)) == {}
    edited = written(both, B, 6, y=2)

    document = joined(KEY, {A: gone[A], B: edited[B]})

    assert shown(document) == {"y": 2}


def test_an_empty_document_exists_and_a_deleted_one_can_be_written_again() -> None:
    empty = written({}, A)
    assert joined(KEY, empty).exists
    gone = {A: documents.delete(joined(KEY, empty), A, NOW_US + 1)}
    assert not joined(KEY, gone).exists

    again = joined(KEY, written(gone, B, 2, x=1))

    assert again.exists
    assert shown(again) == {"x": 1}


def test_a_field_that_has_the_value_already_is_left_alone() -> None:
    both = written({}, A, x=1, y=1)
    before = joined(KEY, both)

    assert documents.changes(before, {"x": text(1), "y": text(2)}) == {"y": text(2)}
    assert documents.changes(before, {"x": text(1)}) == {"y": None}
    ours = written(both, A, 5, y=2)
    theirs = written(both, B, 6, x=3)
    assert shown(joined(KEY, {A: ours[A], B: theirs[B]})) == {"x": 3, "y": 2}


def put_back() -> tuple[DocumentRecord, DocumentRecord, Words]:
    """What A wrote and forgot with its disk, what it wrote next, and what it had from there on."""
    disk = written({}, A, x=1)
    forgotten = written(disk, A, 10, y=2, x=3)[A]
    born = NOW_US + 20
    word = documents.write(joined(KEY, disk), {"x": text(4)}, A, born + 1, born=born)
    rules.check_document(word)
    return forgotten, word, disk


def test_who_was_put_back_to_an_old_disk_has_not_seen_what_it_forgot() -> None:
    forgotten, word, _ = put_back()
    reader = written({A: forgotten}, B, 11, z=5)

    document = joined(KEY, {**reader, A: word})

    assert shown(document) == {"x": 4, "y": 2, "z": 5}
    assert [entry.value for entry in document.fields["x"]] == [text(4), text(3)], "siblings"
    settled = written({**reader, A: word}, A, 40, x=6)
    assert [entry.value for entry in joined(KEY, settled).fields["x"]] == [text(6)]


def test_of_two_lives_of_a_writer_all_that_both_said_stands() -> None:
    forgotten, word, _ = put_back()

    for one, other in ((forgotten, word), (word, forgotten)):
        both = documents.both(one, other)
        rules.check_document(both)
        assert shown(joined(KEY, {A: both})) == {"x": 4, "y": 2}
        assert state_of(both) == join(state_of(forgotten), state_of(word))


def test_a_life_that_deletes_what_it_sees_deletes_nothing_that_it_forgot() -> None:
    forgotten, _, disk = put_back()
    gone = documents.delete(joined(KEY, disk), A, NOW_US + 30, born=NOW_US + 20)

    assert shown(joined(KEY, {A: documents.both(gone, forgotten)})) == {"x": 3, "y": 2}


def test_a_context_tells_so_many_lives_apart_and_the_oldest_count_as_one() -> None:
    words: Words = {}
    most = limits.DOCUMENT_LIVES_MAX
    for life in range(most + 2):
        born = NOW_US + 100 * life
        word = documents.write(joined(KEY, words), {"x": text(life)}, A, born + 5, born=born)
        rules.check_document(word)
        words = {A: word}

    first = (NOW_US, NOW_US + 205)
    later = [(NOW_US + 100 * life, NOW_US + 100 * life + 5) for life in range(3, most + 2)]
    assert words[A].context == ((A, (first, *later)),)


def test_a_counter_is_never_used_again_after_all_was_forgotten() -> None:
    first = written({}, A, 0, x=1)[A].entries[-1].counter
    again = written({}, A, 1, x=2)[A].entries[-1].counter
    assert again > first


def test_a_slow_clock_does_not_lose_to_what_it_saw() -> None:
    words = written({}, A, 5_000, x=1)
    words = written(words, B, 0, x=2)

    assert words[B].entries[-1].written_at == NOW_US + 5_001
    far = replace(words[B].entries[-1], written_at=NOW_US + 10**12)
    words[B] = replace(words[B], entries=(*words[B].entries[:-1], far))
    written_at = written(words, C, 0, x=3)[C].entries[-1].written_at
    assert written_at == NOW_US + limits.WALL_CLOCK_AHEAD_MAX_US, "a liar pulls no further"


def test_the_words_of_others_than_the_owners_are_shown_as_ignored() -> None:
    words = written({}, A, owners=[A, B], x=1)
    words = written(words, B, 1, x=2)
    stranger = DocumentRecord(
        key=KEY, context=upto((C, 5)), entries=(Entry("x", C, 5, NOW_US + 9, text(3)),)
    )

    document = joined(KEY, {**words, C: stranger})

    assert document.owners == (A, B)
    assert shown(document) == {"x": 2}
    assert document.ignored == (C,)
    with pytest.raises(ProposalError, match="does not name this node"):
        documents.write(document, {"x": text(4)}, C, NOW_US + 10)
    with pytest.raises(ProposalError, match="does not name this node"):
        documents.delete(document, C, NOW_US + 10)


def test_who_saw_a_list_without_being_in_it_cannot_replace_it() -> None:
    words = written({}, A, owners=[A], x=1)
    seen = dict(words[A].context) | {C: ((1, NOW_US + 5),)}
    robbed = DocumentRecord(
        key=KEY, context=tuple(sorted(seen.items())),
        entries=(Entry(OWNERS, C, NOW_US + 5, NOW_US + 99, C),),
    )  # fmt: skip

    document = joined(KEY, {**words, C: robbed})

    assert document.owners == (A,)
    assert shown(document) == {"x": 1}
    assert document.ignored == (C,)


def test_who_had_not_seen_a_list_of_owners_cannot_lift_it_and_an_owner_can() -> None:
    words = written({}, A, owners=[A], x=1)
    beside = written({}, C, 9, x=3)

    document = joined(KEY, {A: words[A], C: beside[C]})

    assert document.owners == (A,)
    assert document.ignored == (C,)
    lifted = joined(KEY, {A: written(words, A, 10, owners=[])[A], C: beside[C]})
    assert lifted.owners == ()
    assert set(lifted.fields["x"]) == {words[A].entries[-1], beside[C].entries[-1]}


def test_lists_that_differ_are_settled_by_causality_then_by_most_authors_then_by_time() -> None:
    first = written({}, A, owners=[A, B, C], x=1)
    later = written(first, B, 1, owners=[A, B])
    assert joined(KEY, later).owners == (A, B)
    assert joined(KEY, later).settled.rule == "causality"

    ours = written(first, A, 1, owners=[A, B, D])
    theirs = written(first, B, 2, owners=[B, C])
    third = written(first, C, 1, owners=[A, B, D, C])
    apart = joined(KEY, {A: ours[A], B: theirs[B]})
    assert (apart.owners, apart.settled.rule) == ((B, C), "later")
    agreeing = {
        A: written(first, A, 1, owners=[A, C])[A],
        C: written(first, C, 1, owners=[A, C])[C],
    }
    many = joined(KEY, {**agreeing, B: theirs[B]})
    assert (many.owners, many.settled.rule) == ((A, C), "majority")
    assert many.ignored == (B,)
    assert joined(KEY, {A: ours[A], C: third[C]}).settled.rule == "smaller_hash"


def test_an_owner_who_takes_away_its_own_right_is_refused() -> None:
    with pytest.raises(ProposalError, match="must name the node that writes"):
        written({}, A, owners=[B])


def test_a_word_that_another_covers_is_needless_and_of_two_equal_ones_one_stays() -> None:
    words = written({}, B, x=1)
    words = written(words, C, 1, x=2)
    document = joined(KEY, words)
    assert documents.is_needless(B, words, document)
    assert not documents.is_needless(C, words, document)

    words = {A: adopt(document), C: words[C]}
    document = joined(KEY, words)
    assert documents.is_needless(C, words, document)
    assert not documents.is_needless(A, words, document)


def test_what_is_taken_over_says_the_same() -> None:
    both = written({}, A, x=1)
    ours, theirs = written(both, A, 5, x="ours"), written(both, B, 6, x="theirs", y=1)
    words = {A: ours[A], B: theirs[B]}
    document = joined(KEY, words)

    taken = joined(KEY, {C: adopt(document)})

    assert taken.state == document.state
    assert taken.version == document.version
    assert taken.conflicts == document.conflicts


def test_a_liar_who_makes_two_of_one_write_keeps_nobody_apart() -> None:
    honest = written({}, A, x=1)
    lie = replace(
        honest[A], entries=(honest[A].entries[0], replace(honest[A].entries[1], value=text(9)))
    )
    assert join(state_of(honest[A]), state_of(lie)) == join(state_of(lie), state_of(honest[A]))


def test_no_more_words_count_than_there_may_be_writers() -> None:
    most = limits.DOCUMENT_WRITERS_MAX
    crowd = [NodeId(number.to_bytes(32, "big")) for number in range(1, most + 2)]
    words = {one: written({}, one, number, x=number)[one] for number, one in enumerate(crowd)}

    document = joined(KEY, words)

    assert len(document.words) == most
    assert document.ignored == (crowd[-1],)
    with pytest.raises(ProposalError, match="no more may"):
        documents.write(document, {"x": text(0)}, D, NOW_US)


def test_one_more_field_or_writer_than_allowed_is_refused() -> None:
    most = limits.DOCUMENT_FIELDS_MAX
    fields: dict[str, bytes | None] = {f"f{number}": text(0) for number in range(most)}
    full = {A: documents.write(joined(KEY, {}), fields, A, NOW_US)}
    with pytest.raises(ProposalError, match="65 fields"):
        written(full, A, 1, more=0)
    crowd = upto(*((NodeId(bytes((number,)) * 32), 1) for number in range(1, 65)))
    rules.check_document(DocumentRecord(key=KEY, context=crowd))
    with pytest.raises(ProposalError, match="65 nodes have written"):
        rules.check_document(
            DocumentRecord(key=KEY, context=(*crowd, *upto((NodeId(b"z" * 32), 1))))
        )


@pytest.mark.parametrize(
    "word",
    [
        DocumentRecord(key="Upper"),
        DocumentRecord(key=""),
        DocumentRecord(key=KEY, context=upto((B, 1), (A, 1))),
        DocumentRecord(key=KEY, context=upto((A, 1), (A, 2))),
        DocumentRecord(key=KEY, context=upto((A, 0))),
        DocumentRecord(key=KEY, context=((A, ()),)),
        DocumentRecord(key=KEY, context=((A, ((0, 2),)),)),
        DocumentRecord(key=KEY, context=((A, ((4, 5), (1, 2))),)),
        DocumentRecord(key=KEY, context=((A, ((1, 2), (3, 4))),)),
        DocumentRecord(
            key=KEY, context=((A, ((1, 2), (4, 5))),), entries=(Entry("x", A, 3, 0, b"1"),)
        ),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("x", A, 2, 0, b"1"),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("x", B, 1, 0, b"1"),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("x", A, 1, 0, b"1 "),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("x", A, 1, 0, b"{"),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("x\n", A, 1, 0, b"1"),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("x" * 129, A, 1, 0, b"1"),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("", A, 1, 0, b"short"),)),
        DocumentRecord(key=KEY, context=upto((A, 1)), entries=(Entry("", A, 1, 0, B + A),)),
        DocumentRecord(
            key=KEY, context=upto((A, 2)),
            entries=(Entry("x", A, 1, 0, b"1"), Entry("x", A, 1, 0, b"1")),
        ),
        DocumentRecord(
            key=KEY, context=upto((A, 2)),
            entries=(Entry("y", A, 1, 0, b"1"), Entry("x", A, 2, 0, b"1")),
        ),
    ],
)  # fmt: skip
def test_a_word_that_breaks_a_rule_is_refused(word: DocumentRecord) -> None:
    with pytest.raises(ProposalError):
        rules.check_document(word)
