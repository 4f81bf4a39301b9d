"""From proposals to signed commits: grouped, in order, once, and never more than is allowed."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import limits
from protocol.authoring import COMMIT_BYTES_MAX, Authoring, InFlight
from protocol.bodies import Body, Stamp, encode, key_of, stamp_of
from protocol.branch import Branch
from protocol.clocks import HybridClock, Instant
from protocol.commits import NOTHING, Dot, Record, RecordKey
from protocol.errors import LocalProtocolError, ProposalError, RefusedError
from protocol.history.outcomes import AppliedStep, Forked
from protocol.records import NodeRecord, ServiceRecord

from .author import Author
from .laws import law
from .peer_world import TRUST, service

NOW = Instant(0.0, 1_000_000)
NODE_RECORD = NodeRecord(name="n1", host="10.0.0.1", port=8401, api_host="10.0.0.1", api_port=8400)
Made = tuple[Authoring, Branch]


def opened(author: Author | None = None, *, last: Dot = NOTHING, born: int = 0) -> Made:
    author = author or Author()
    branch = Branch(author.chain, TRUST)
    clock = HybridClock()
    authoring = Authoring(branch, author.key(0), TRUST, last=last, clock=clock, born=born)
    authoring.open = True
    return authoring, branch


def stage(authoring: Authoring, *bodies: Body, ticket: int | None = None) -> None:
    authoring.stage({key_of(body): body for body in bodies}, ticket)


def services(first: int, count: int) -> list[ServiceRecord]:
    return [service(port=port) for port in range(first, first + count)]


def land(made: Made, now: Instant = NOW) -> InFlight:
    """Sign what waits and let it be durable."""
    authoring, branch = made
    assert authoring.next(now) is not None
    landed = authoring.landed()
    if landed.base is not None:
        branch.adopt(landed.base, even_older=True)
    assert isinstance(branch.offer([landed.commit]), AppliedStep)
    return landed


def test_what_gathers_while_one_is_on_its_way_becomes_one_commit() -> None:
    made = authoring, branch = opened()
    stage(authoring, service(port=1), ticket=1)
    assert authoring.next(NOW) is not None
    for port in (2, 3, 4):
        stage(authoring, service(port=port), ticket=port)
        assert authoring.next(NOW) is None, "one at a time"
    first = authoring.landed()
    branch.offer([first.commit])

    second = land(made)

    assert (first.tickets, second.tickets) == ((1,), (2, 3, 4))
    assert len(second.changes) == 3
    assert second.commit.head.parents == (first.commit.head.hash,)
    assert authoring.next(NOW) is None, "nothing waits any more"


def test_nothing_is_signed_before_this_node_has_read_itself_back() -> None:
    authoring, _ = opened()
    authoring.open = False
    stage(authoring, service(), ticket=1)

    assert authoring.next(NOW) is None
    authoring.open = True
    assert authoring.next(NOW) is not None


def test_versions_rise_strictly_whatever_the_wall_clock_does() -> None:
    made = authoring, _ = opened(last=Dot(0, 500))
    versions: list[int] = []
    for wall_us in (100, 400, 1_000, 1_000, 7, 0, 1_001, 5_000):
        stage(authoring, service(version=str(len(versions))))
        versions.append(land(made, Instant(0.0, wall_us)).commit.head.version)

    assert versions == [501, 502, 1_000, 1_001, 1_002, 1_003, 1_004, 5_000]


def test_more_than_a_commit_holds_goes_into_several_and_is_answered_after_the_last() -> None:
    made = authoring, branch = opened()
    stage(authoring, *services(1, 600), ticket=7)

    commits = [land(made) for _ in range(3)]

    assert [len(one.changes) for one in commits] == [256, 256, 88]
    assert [one.tickets for one in commits] == [(), (), (7,)]
    assert authoring.next(NOW) is None
    assert len(branch.bodies) == 600


def test_each_is_answered_by_the_commit_that_has_the_last_of_its_changes() -> None:
    made = authoring, _ = opened()
    for number, one in enumerate(services(1, 300), start=1):
        stage(authoring, one, ticket=number)
    stage(authoring, *services(256, 2), ticket=301)
    stage(authoring, ticket=302)

    first, second = land(made), land(made)

    assert first.tickets == (302, *range(1, 257))
    assert second.tickets == (257, 301, *range(258, 301))


def test_a_commit_ends_at_its_bytes_too() -> None:
    made = authoring, _ = opened()
    padding = tuple((f"k{n:02}", "x" * 500) for n in range(14))
    stage(authoring, *(replace(one, metadata=padding) for one in services(1, 200)), ticket=1)

    first, second = land(made), land(made)

    assert len(first.commit.changes_encoded) < COMMIT_BYTES_MAX + limits.RECORD_BYTES_MAX
    assert len(first.changes) + len(second.changes) > 100
    assert not first.tickets


def test_our_newest_word_is_known_before_it_is_durable() -> None:
    made = authoring, _ = opened()
    key = key_of(service())
    old, new = service(version="1"), service(version="2")
    assert authoring.intended(key) is None
    stage(authoring, old)
    assert authoring.intended(key) == old
    authoring.next(NOW)
    assert authoring.intended(key) == old
    authoring.stage({key: None}, None)
    assert authoring.intended(key) is None
    stage(authoring, new)
    assert authoring.intended(key) == new
    made[1].offer([authoring.landed().commit])
    land(made)
    assert authoring.intended(key) == new


def test_a_record_beyond_its_limit_is_refused_and_nothing_staged() -> None:
    authoring, _ = opened()
    pairs = tuple((f"k{n:02}", "x" * 512) for n in range(17))
    large = replace(service(port=2), metadata=pairs)
    assert len(encode(large)) > limits.RECORD_BYTES_MAX

    with pytest.raises(ProposalError, match=r"record: web/web-2 takes \d+ bytes"):
        stage(authoring, service(port=1), large, ticket=1)

    assert authoring.next(NOW) is None


def test_a_step_that_lands_as_foreseen_leaves_what_its_offer_leaves() -> None:
    author = Author()
    made = authoring, branch = opened(author)
    other = Branch(author.chain, TRUST)
    rounds: list[dict[RecordKey, Body | None]] = [
        {key_of(NODE_RECORD): NODE_RECORD} | {key_of(one): one for one in services(1, 20)},
        {key_of(service(port=3)): None, key_of(service(port=4)): service(port=4, version="2")},
        {},
        {key_of(one): None for one in services(5, 12)},
    ]
    for number, changes in enumerate(rounds):
        authoring.stage(changes, number)
        assert authoring.next(NOW) is not None
        landed = authoring.landed()

        assert branch.land(landed.commit, landed.foreseen) == other.offer([landed.commit])

        assert (branch.head, branch.records, branch.bodies) == (
            other.head, other.records, other.bodies
        )  # fmt: skip
        assert branch.tree.root == other.tree.root == landed.commit.head.state_root
        assert branch.kept() == other.kept()
    assert made[1].node is not None


def test_a_step_lands_as_foreseen_only_where_it_was_foreseen() -> None:
    author = Author()
    authoring, branch = opened(author)
    stage(authoring, service(port=1))
    authoring.next(NOW)
    landed = authoring.landed()
    branch.offer([author.commit(service(port=9))])

    assert isinstance(branch.land(landed.commit, landed.foreseen), Forked)

    assert list(branch.bodies) == [key_of(service(port=9))]


def check_stamps(landed: InFlight, before: dict[RecordKey, Record]) -> None:
    """Each record set is of that commit, and has been there since it was first set."""
    version = landed.commit.head.version
    for kind, key, body in landed.changes:
        if body is not None:
            held = before.get(RecordKey(kind, key))
            first = stamp_of(held).first if held is not None else version
            assert stamp_of(Record(kind, key, body)) == Stamp(version, first)


WAYS = st.sampled_from(["landed", "offered", "elsewhere"])
ROUNDS = st.tuples(WAYS, st.dictionaries(st.integers(1, 4), st.booleans(), min_size=1))
"""How a commit comes to our branch, and which records it sets or removes."""


ANEW_ELSEWHERE = [
    ("landed", {1: True}), ("elsewhere", {1: False}), ("elsewhere", {1: True}),
    ("landed", {1: True}),
]  # fmt: skip


@law
@given(st.lists(ROUNDS, max_size=12))
@example(ANEW_ELSEWHERE)
def test_a_record_is_stamped_with_its_first_commit_however_it_came_to_us(
    rounds: list[tuple[str, dict[int, bool]]],
) -> None:
    author = Author(stamps=True)
    authoring, branch = opened(author)
    for number, (way, ports) in enumerate(rounds):
        wanted = [service(port=port, version=str(number)) for port, stays in ports.items() if stays]
        gone = tuple(key_of(service(port=port)) for port, stays in ports.items() if not stays)
        before = dict(branch.records)
        if way == "elsewhere":
            commit = author.commit(*wanted, remove=gone)
            branch.offer([commit])
            authoring.took(commit.head)
            continue
        stage(authoring, *wanted)
        authoring.stage(dict.fromkeys(gone), None)
        authoring.next(NOW)
        landed = authoring.landed()
        author.branch.offer([landed.commit])
        if way == "landed":
            branch.land(landed.commit, landed.foreseen)
        else:
            branch.offer([landed.commit])

        check_stamps(landed, before)


def test_a_record_is_stamped_with_its_first_commit_after_a_merge() -> None:
    author, made = forgetful()
    authoring, branch = made
    stage(authoring, *services(1, 9))
    land(made)
    authoring.merge_with(author.manifest())
    land(made)
    before = dict(branch.records)

    stage(authoring, *(replace(one, version="3") for one in services(1, 9)))

    check_stamps(land(made), before)


def test_what_we_signed_ourselves_is_not_read_to_stamp_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_record: Record) -> Stamp:
        raise AssertionError("read again")

    authoring, branch = opened()
    for version in ("1", "2", "3"):
        stage(authoring, *(replace(one, version=version) for one in services(1, 3)))
        authoring.next(NOW)
        landed = authoring.landed()
        branch.land(landed.commit, landed.foreseen)
        monkeypatch.setattr("protocol.bodies.stamp_of", refuse)

    assert len(branch.records) == 3


def test_of_what_was_removed_or_merged_no_bodies_are_remembered() -> None:
    author, made = forgetful()
    authoring, branch = made
    stage(authoring, *services(1, 9))
    land(made)
    authoring.stage(dict.fromkeys(map(key_of, services(1, 3))), None)
    land(made)
    assert authoring._firsts.keys() == branch.records.keys()

    authoring.merge_with(author.manifest())
    land(made)

    assert not authoring._firsts


def test_what_no_peer_would_take_is_never_signed() -> None:
    authoring, _ = opened()

    for wrong in (service("Web"), replace(service(), updated_at=-1)):
        with pytest.raises(ProposalError):
            stage(authoring, wrong)
    with pytest.raises(ProposalError, match="not its own"):
        authoring.stage({RecordKey(1, "web/other"): service()}, None)

    assert authoring.next(NOW) is None


def test_an_owner_never_signs_more_records_than_it_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "RECORDS_PER_OWNER_MAX", 10)
    made = authoring, branch = opened()
    stage(authoring, *services(1, 6))
    authoring.next(NOW)
    stage(authoring, *services(7, 4))
    for more in (services(11, 1), services(10, 2)):
        with pytest.raises(ProposalError, match="limit: this node holds 10 records"):
            stage(authoring, *more)
    stage(authoring, *(replace(one, version="2") for one in services(1, 10)))
    branch.offer([authoring.landed().commit])
    land(made)
    assert len(branch.records) == 10

    authoring.stage({key_of(service(port=3)): None}, None)
    stage(authoring, service(port=11))
    with pytest.raises(ProposalError):
        stage(authoring, service(port=12))
    stage(authoring, service(port=11, version="3"))
    land(made)
    assert len(branch.records) == 10


def test_too_much_waiting_for_the_disk_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.authoring._WAITING_MAX", 5)
    authoring, _ = opened()
    stage(authoring, *services(1, 5))

    with pytest.raises(ProposalError, match="overloaded"):
        stage(authoring, service(port=6))


def test_landing_without_a_flight_is_our_drivers_mistake() -> None:
    authoring, _ = opened()

    with pytest.raises(LocalProtocolError):
        authoring.landed()


def forgetful() -> tuple[Author, Made]:
    """The cluster holds web-1 (theirs), web-2, web-3; we came back with web-1 and web-9 only."""
    author = Author(stamps=True)
    made = authoring, branch = opened(author, born=100)
    first = author.commit(service(port=1), service(port=9))
    branch.offer([first])
    authoring.took(first.head)
    author.commit(
        service(port=1, version="theirs"), service(port=2), service(port=3, version="theirs"),
        remove=(key_of(service(port=9)),),
    )  # fmt: skip
    return author, made


def test_a_merge_takes_the_clusters_state_and_what_was_signed_since_the_start() -> None:
    author, made = forgetful()
    authoring, branch = made
    stage(authoring, service(port=3, version="ours"), service(port=4))
    authoring.stage({key_of(service(port=2)): None}, None)
    ours = land(made, Instant(0.0, 1)).commit
    theirs = author.manifest()

    authoring.merge_with(theirs)
    merge = land(made, Instant(0.0, 1))

    assert merge.commit.head.parents == (theirs.head.hash, ours.head.hash)
    assert merge.commit.head.dot > max(theirs.head.dot, ours.head.dot)
    assert {key.key: body for key, body in branch.bodies.items()} == {
        "web/web-1": service(port=1, version="theirs"),
        "web/web-3": service(port=3, version="ours"),
        "web/web-4": service(port=4),
    }
    at_a_peer = author.branch
    assert isinstance(at_a_peer.offer([merge.commit]), AppliedStep)


def test_only_what_we_really_signed_is_merged() -> None:
    author, (authoring, _) = forgetful()
    stranger = Author(2)
    stranger.commit(service())
    manifest = author.manifest()

    for lie in (
        stranger.manifest(),
        replace(manifest, records=manifest.records[1:]),
        replace(manifest, head=replace(manifest.head, signature=bytes(64))),
    ):
        with pytest.raises(RefusedError):
            authoring.merge_with(lie)
    assert authoring.next(NOW) is None


def test_a_commit_of_a_forgotten_life_is_told_from_an_old_and_from_our_own() -> None:
    author, made = forgetful()
    authoring, branch = made
    old = branch.head
    assert old is not None
    theirs = author.manifest().head
    assert authoring.forgot(theirs.dot, theirs.hash)
    assert not authoring.forgot(old.dot, old.hash)
    assert not authoring.forgot(Dot(0, 0), b"")

    stage(authoring, service(port=4))
    ours = land(made).commit.head
    assert authoring.forgot(theirs.dot, theirs.hash)
    assert not authoring.forgot(ours.dot, ours.hash)

    authoring.merge_with(author.manifest())
    merge = land(made).commit.head
    for head in (theirs, ours, merge):
        assert not authoring.forgot(head.dot, head.hash)


def restarted(author: Author, branch: Branch) -> Authoring:
    """A new life with the same disk."""
    born = branch.dot.version + 1_000
    again = Authoring(branch, author.key(0), TRUST, last=branch.dot, clock=HybridClock(), born=born)
    again.open = True
    return again


def test_what_was_forgotten_is_told_from_our_own_also_after_another_restart() -> None:
    author, made = forgetful()
    theirs = author.manifest().head
    stage(made[0], service(port=4), NODE_RECORD)
    later = Instant(0.0, theirs.version + 1_000)
    ours = land(made, later).commit.head

    again = restarted(author, made[1])

    assert again.forgot(theirs.dot, theirs.hash)
    assert not again.forgot(ours.dot, ours.hash)
    again.merge_with(author.manifest())
    merge = land((again, made[1]), later)
    assert {key.key for key in made[1].bodies} == {
        "node",
        "web/web-1",
        "web/web-2",
        "web/web-3",
        "web/web-4",
    }
    after = restarted(author, made[1])
    for head in (theirs, ours, merge.commit.head):
        assert not after.forgot(head.dot, head.hash)


def test_a_fork_whose_other_side_nobody_shows_is_settled_by_the_next_commit() -> None:
    author, made = forgetful()
    theirs = author.manifest().head
    stage(made[0], service(port=4))
    ours = land(made).commit.head
    assert made[0].next(NOW) is None

    made[0].settle(theirs)
    settled = land(made).commit.head

    assert settled.parents == (ours.hash, theirs.hash)
    assert made[0].next(NOW) is None, "once"
    assert made[0].forgot(theirs.dot, theirs.hash), "whoever shows it later is heard"


def test_what_was_removed_is_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.authoring._REMOVED_MAX", 3)
    _, made = forgetful()
    for port in (4, 5, 6, 4, 7):
        made[0].stage({key_of(service(port=port)): None}, None)
        land(made, Instant(0.0, 1))

    assert [key.key for key in made[0]._removed] == ["web/web-6", "web/web-4", "web/web-7"]

    stage(made[0], service(port=4))
    land(made, Instant(0.0, 1))
    assert [key.key for key in made[0]._removed] == ["web/web-6", "web/web-7"]


def test_of_two_forgotten_heads_the_newer_is_merged_also_after_the_older() -> None:
    author, made = forgetful()
    older = author.manifest()
    author.commit(service(port=6), remove=(key_of(service(port=2)),))
    newer = author.manifest()
    stage(made[0], service(port=4))
    later = Instant(0.0, newer.head.version + 1_000)
    land(made, later)

    made[0].merge_with(older)
    land(made, later)
    assert made[0].forgot(newer.head.dot, newer.head.hash)
    made[0].merge_with(newer)
    land(made, later)

    ports = {key.key for key in made[1].bodies}
    assert ports == {"web/web-1", "web/web-3", "web/web-4", "web/web-6"}
    for head in (older.head, newer.head):
        assert not made[0].forgot(head.dot, head.hash), "what led to a merged one is no news"


def test_an_empty_proposal_is_answered_too() -> None:
    made = authoring, _ = opened()
    authoring.stage(dict[RecordKey, Body | None](), 5)

    assert land(made).tickets == (5,)
