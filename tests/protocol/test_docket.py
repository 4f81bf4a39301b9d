"""Which evidence is kept: bounded, the same on all nodes, settled once."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.agreement.docket import (
    CASES_MAX,
    CASES_PER_OWNER_MAX,
    REPORTED_MAX,
    Case,
    Docket,
    Settlement,
)
from protocol.agreement.evidence import Evidence, fork_of, key_fork_of
from protocol.commits import Dot
from protocol.identity import ROTATION, make_event

from .author import Author, changes_of
from .laws import law
from .peer_world import CLUSTER, service

WALL = 1_700_000_000_000_000


def fork(author: Author, version: int = 1) -> Evidence:
    """Two commits with one dot."""
    one = author.signed(changes_of(service(port=1)), parents=(), version=version)
    other = author.signed(changes_of(service(port=2)), parents=(), version=version)
    evidence = fork_of(one.head, other.head)
    assert evidence is not None
    return evidence


def case_of(author: Author, version: int = 1, *, found_at: int = WALL) -> Case:
    return Case(fork(author, version), found_at, None)


def settlement(author: Author, version: int) -> Settlement:
    merge = author.signed((), parents=(b"a" * 32, b"b" * 32), version=version)
    return Settlement(WALL + 1, 0, merge.head)


def versions(docket: Docket) -> list[int]:
    return sorted(case.dot.version for case in docket.cases())


def test_one_fork_is_one_case_whoever_tells_of_it() -> None:
    docket, author = Docket(), Author()
    case = case_of(author)

    added = docket.add(case)

    assert added is not None
    assert (added.case, added.dropped) == (case, ())
    assert docket.add(Case(case.evidence, WALL + 5, author.id)) is None
    assert list(docket.cases()) == docket.open_cases(author.id) == [case]
    assert docket.holds(case.evidence)
    assert len(docket) == 1


def test_of_one_owner_the_newest_are_kept_and_what_fell_out_stays_out() -> None:
    docket, author = Docket(), Author()
    cases = [case_of(author, version) for version in range(1, CASES_PER_OWNER_MAX + 2)]
    for case in cases[:-1]:
        docket.add(case)
    assert len(docket) == CASES_PER_OWNER_MAX

    added = docket.add(cases[-1])

    assert added is not None
    assert added.dropped == (cases[0].id,)
    assert len(docket) == CASES_PER_OWNER_MAX
    assert docket.add(cases[0]) is None, "or it would go round for ever"
    assert versions(docket) == list(range(2, CASES_PER_OWNER_MAX + 2))


def test_of_all_owners_together_so_many_are_kept_and_no_more() -> None:
    docket = Docket()
    authors = [Author(number) for number in range(1, CASES_MAX // CASES_PER_OWNER_MAX + 2)]
    cases = [
        case_of(author, version)
        for version in range(1, CASES_PER_OWNER_MAX + 1)
        for author in authors
    ]
    for case in cases[:CASES_MAX]:
        assert docket.add(case) is not None
    assert len(docket) == CASES_MAX

    added = docket.add(cases[CASES_MAX])

    assert added is not None
    assert len(added.dropped) == 1
    assert len(docket) == CASES_MAX
    assert versions(docket)[0] == 1


FORKED = [Author(number) for number in range(1, 5)]
CASES = [case_of(author, version) for author in FORKED for version in range(1, 12)]


@law
@given(st.lists(st.sampled_from(CASES), max_size=40))
def test_it_concerns_those_of_whom_a_case_is_kept(cases: list[Case]) -> None:
    docket = Docket()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protocol.agreement.docket.CASES_MAX", 5)
        for case in cases:
            docket.add(case)
            docket.settle(case.owner, Dot(0, 6), Settlement(WALL, 0, None))

            for author in FORKED:
                assert docket.concerns(author.id) == bool(list(docket.cases(author.id)))


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_order_evidence_comes_the_same_is_kept(seed: int) -> None:
    author = Author()
    cases = [case_of(author, version) for version in range(1, 2 * CASES_PER_OWNER_MAX)]
    first, second = Docket(), Docket()
    for case in cases:
        first.add(case)
    Random(seed).shuffle(cases)
    for case in cases:
        second.add(case)

    assert {case.id for case in first.cases()} == {case.id for case in second.cases()}


def test_a_merge_settles_what_is_older_and_nothing_else() -> None:
    docket, author, other = Docket(), Author(1), Author(2)
    old, new, others = case_of(author, 1), case_of(author, 5), case_of(other, 1)
    for case in (old, new, others):
        docket.add(case)
    end = settlement(author, 3)

    settled = docket.settle(author.id, Dot(0, 3), end)

    assert [(case.id, case.settlement) for case in settled] == [(old.id, end)]
    assert docket.open_cases(author.id) == [new]
    assert docket.open_cases(other.id) == [others]
    assert docket.settle(author.id, Dot(0, 3), settlement(author, 4)) == [], "only once"


def test_two_key_events_of_one_sequence_are_settled_by_the_next_rotation_only() -> None:
    docket, author = Docket(), Author()
    events = [
        make_event(
            ROTATION, previous=author.events[0], key=author.key(1), next_commitment=following,
            cluster=CLUSTER,
        )
        for following in (bytes(32), b"x" * 32)
    ]  # fmt: skip
    fork_of_keys = key_fork_of(author.id, *events)
    assert fork_of_keys is not None
    docket.add(Case(fork_of_keys, WALL, None))

    assert docket.settle(author.id, Dot(1, 2**61), settlement(author, 9)) == []
    assert len(docket.settle(author.id, Dot(2, 0), Settlement(WALL, 2, None))) == 1


def test_a_sync_tells_of_the_open_ones_first_then_of_the_newest() -> None:
    docket = Docket()
    authors = [Author(number) for number in range(1, REPORTED_MAX + 3)]
    for place, author in enumerate(authors):
        docket.add(case_of(author, found_at=WALL + place))
    end = settlement(authors[-1], 9)
    for author in authors[1:]:
        docket.settle(author.id, Dot(0, 9), end)

    told = docket.reported()

    assert len(told) == REPORTED_MAX
    assert [report.evidence.owner for report in told] == [
        authors[0].id, *(author.id for author in reversed(authors[3:]))
    ]  # fmt: skip
    assert (told[0].merge, told[1].merge) == (None, end.merge)
