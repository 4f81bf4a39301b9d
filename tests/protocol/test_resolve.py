"""Where two statements meet: the laws of `resolve`, and each of its rules by an example."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.agreement.resolve import (
    Reports,
    Resolution,
    Statement,
    clock_of,
    covers,
    reports,
    resolve,
)
from protocol.identity import NodeId

from .laws import law

NODES = [NodeId(bytes((number,)) * 32) for number in range(1, 7)]
A, B, C, D, E, F = NODES


def say(
    voter: NodeId, value: str, at: int = 1, *, owners: bool = False, **seen: int
) -> Statement[str]:
    """A statement; `seen` is its clock, by the letters of the nodes, if it has one."""
    letters = dict(zip("abcdef", NODES, strict=True))
    clock = clock_of({letters[name]: counter for name, counter in seen.items()}) if seen else None
    return Statement(voter, value, value.encode(), at, clock, owners)


def decided(*statements: Statement[str], by: list[NodeId] | None = None) -> Resolution[str]:
    return resolve(reports(statements), by)


CLOCKS = st.none() | st.dictionaries(st.sampled_from(NODES[:3]), st.integers(0, 2), max_size=3).map(
    clock_of
)
STATEMENTS = st.builds(
    lambda voter, value, at, clock, owners: Statement(
        voter, value, value.encode(), at, clock, owners
    ),
    st.sampled_from(NODES), st.sampled_from("xyz"), st.integers(0, 3), CLOCKS,
    st.sampled_from([False] * 7 + [True]),
)  # fmt: skip
LISTS = st.lists(STATEMENTS, max_size=10)
SETS = LISTS.map(reports)
ENTITLED = st.none() | st.lists(st.sampled_from(NODES), unique=True, max_size=6)


@law
@given(SETS, SETS)
def test_merging_is_commutative(a: Reports[str], b: Reports[str]) -> None:
    assert a.merge(b) == b.merge(a)


@law
@given(SETS, SETS, SETS)
def test_merging_is_associative(a: Reports[str], b: Reports[str], c: Reports[str]) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@law
@given(SETS, SETS)
def test_merging_is_idempotent_and_never_loses_a_word(a: Reports[str], b: Reports[str]) -> None:
    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)
    assert all(one in a.merge(b).statements for one in (*a.statements, *b.statements))


@law
@given(LISTS, ENTITLED, st.randoms(use_true_random=False), st.integers(0, 5))
def test_neither_order_nor_repetition_changes_the_result(
    said: list[Statement[str]], entitled: list[NodeId] | None, rng: Random, again: int
) -> None:
    other = said + said[:again]
    rng.shuffle(other)
    voters = None if entitled is None else rng.sample(entitled, len(entitled))

    assert resolve(reports(other), voters) == resolve(reports(said), entitled)


@law
@given(LISTS, LISTS, ENTITLED)
def test_two_who_tell_each_other_all_they_heard_agree(
    ours: list[Statement[str]], theirs: list[Statement[str]], entitled: list[NodeId] | None
) -> None:
    here, there = reports(ours), reports(theirs)

    assert resolve(here.merge(there), entitled) == resolve(there.merge(here), entitled)


@law
@given(STATEMENTS, LISTS, ENTITLED)
def test_no_vote_overrules_the_owners_newest_word(
    word: Statement[str], said: list[Statement[str]], entitled: list[NodeId] | None
) -> None:
    last = replace(word, time_us=9, clock=None, is_owners=True)
    others = [replace(one, clock=None) if one.is_owners else one for one in said]

    result = resolve(reports([*others, last]), entitled)

    assert result.value == last.value
    assert result.rule in ("owner", "only")


@law
@given(LISTS, ENTITLED)
def test_nothing_counts_that_happened_before_another_statement(
    said: list[Statement[str]], entitled: list[NodeId] | None
) -> None:
    plain = [replace(one, is_owners=False) for one in said]
    result = resolve(reports(plain), entitled)
    if result.chosen is None or result.chosen.clock is None:
        return

    for one in plain:
        may = entitled is None or one.voter in entitled
        if may and one.clock is not None and one.clock != result.chosen.clock:
            assert not covers(dict(one.clock), result.chosen.clock)


@law
@given(LISTS, ENTITLED)
def test_the_result_is_what_its_rule_says(
    said: list[Statement[str]], entitled: list[NodeId] | None
) -> None:
    result = resolve(reports(said), entitled)
    mine = [votes for votes in result.votes if votes.value == result.value]
    voters = [voter for votes in result.votes for voter in votes.voters]

    assert len(voters) == len(set(voters)), "each counts once"
    assert entitled is None or set(voters) <= set(entitled)
    match result.rule:
        case "nobody":
            assert result.chosen is None
            assert not result.votes
        case "majority":
            assert 2 * len(mine[0].voters) > result.entitled
        case "owner":
            assert result.chosen is not None
            assert result.chosen.is_owners
        case "later" | "smaller_hash":
            assert entitled is None or all(
                2 * len(votes.voters) <= len(entitled)
                for votes in result.votes
                if not (result.chosen and result.chosen.is_owners)
            )
        case _:
            assert len(mine) == 1
    assert result.votes[:1] == tuple(mine[:1])


@law
@given(LISTS, st.lists(st.sampled_from(NODES), unique=True, min_size=1, max_size=6))
def test_a_majority_that_says_one_thing_with_one_voice_wins(
    said: list[Statement[str]], entitled: list[NodeId]
) -> None:
    many = entitled[: len(entitled) // 2 + 1]
    others = [replace(one, is_owners=False, clock=None) for one in said if one.voter not in many]

    result = resolve(reports([*others, *(say(voter, "m", 0) for voter in many)]), entitled)

    assert result.value == "m"
    assert result.rule in ("majority", "only")


@law
@given(LISTS, ENTITLED, LISTS)
def test_who_may_not_vote_changes_nothing_and_is_shown(
    said: list[Statement[str]], entitled: list[NodeId] | None, more: list[Statement[str]]
) -> None:
    if entitled is None:
        return
    strangers = [replace(one, is_owners=False) for one in more if one.voter not in entitled]

    without = resolve(reports(said), entitled)
    result = resolve(reports([*said, *strangers]), entitled)

    assert (result.chosen, result.rule, result.votes) == (
        without.chosen, without.rule, without.votes,
    )  # fmt: skip
    shown = {one.voter for one in result.discrepancies if one.blame == "not_entitled"}
    assert {one.voter for one in strangers} <= shown


@pytest.mark.parametrize(
    ("statements", "entitled", "value", "rule"),
    [
        ([], [A, B], None, "nobody"),
        ([say(A, "x")], [B], None, "nobody"),
        ([say(A, "x", 1), say(B, "x", 2)], [A, B, C], "x", "only"),
        ([say(A, "x", 1), say(B, "y", 9), say(C, "y", 9, owners=True)], [A, B], "y", "owner"),
        ([say(A, "x", 9), say(B, "y", 1, owners=True)], [A], "y", "owner"),
        ([say(A, "x", 9, a=1), say(B, "y", 1, a=1, b=1)], None, "y", "causality"),
        ([say(A, "x", 9, a=2), say(B, "y", 1, a=1, b=1)], None, "x", "later"),
        ([say(A, "x", 1), say(B, "x", 2), say(C, "y", 9)], [A, B, C], "x", "majority"),
        ([say(A, "x", 1), say(B, "x", 2), say(C, "y", 9)], [A, B, C, D], "y", "later"),
        ([say(A, "x", 1), say(B, "x", 2), say(C, "y", 9)], None, "y", "later"),
        ([say(A, "x", 3), say(B, "y", 3)], [A, B], "x", "smaller_hash"),
        ([say(A, "y", 3, owners=True), say(A, "x", 3, owners=True)], [], "x", "smaller_hash"),
    ],
)
def test_each_rule_by_an_example(
    statements: list[Statement[str]], entitled: list[NodeId] | None, value: str | None, rule: str
) -> None:
    result = decided(*statements, by=entitled)

    assert (result.value, result.rule) == (value, rule)


def test_the_result_says_who_said_otherwise_and_who_may_not_speak() -> None:
    result = decided(
        say(A, "x", 1), say(B, "x", 2), say(C, "y", 9), say(D, "z", 9), say(E, "x", 5),
        say(E, "y", 5), by=[A, B, C, E],
    )  # fmt: skip

    assert result.rule == "majority"
    assert [(one.value, one.voters) for one in result.votes] == [("x", (A, B, E)), ("y", (C,))]
    assert result.entitled == 4
    assert [(one.voter, one.blame, one.value) for one in result.discrepancies] == [
        (C, "otherwise", "y"),
        (D, "not_entitled", "z"),
        (E, "otherwise", "y"),
        (E, "said_two", "x"),
        (E, "said_two", "y"),
    ]


def test_a_voter_who_said_something_newer_votes_for_that_alone() -> None:
    result = decided(say(A, "x", 1), say(A, "y", 2), say(B, "y", 1), say(C, "x"), by=[A, B, C])

    assert (result.value, result.rule) == ("y", "majority")
    assert [one.voters for one in result.votes] == [(A, B), (C,)]


def test_what_another_had_seen_is_shown_as_older() -> None:
    result = decided(say(A, "x", 1, a=1), say(B, "y", 1, a=1, b=1), by=[A, B])

    assert result.rule == "causality"
    assert not result.is_contested
    assert [(one.voter, one.blame) for one in result.discrepancies] == [(A, "older")]
