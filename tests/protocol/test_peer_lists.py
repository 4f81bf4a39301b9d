"""Lists of different seeds are compared: who left whom out, and who is behind."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.agreement.peer_lists import NOT_LISTED, PeerList, differences
from protocol.commits import Dot
from protocol.events import Joined
from protocol.identity import NodeId

from .laws import law
from .peer_world import World

A, B, C, X, Y = (NodeId(bytes((number,)) * 32) for number in range(1, 6))
OLD, NEW = Dot(0, 1), Dot(0, 2)


def blamed(lists: dict[NodeId, PeerList], verified: dict[NodeId, Dot]) -> list[tuple[object, ...]]:
    return [
        (one.owner, said.voter, said.blame, said.value == NOT_LISTED)
        for one in differences(lists, verified)
        for said in one.resolution.discrepancies
    ]


def test_lists_that_agree_have_no_differences() -> None:
    lists = {A: PeerList((), {X: NEW, Y: OLD}), B: PeerList((), {Y: OLD, X: NEW})}

    assert differences(lists, {X: NEW, Y: OLD}) == ()


def test_a_seed_that_leaves_somebody_out_or_is_behind_is_named() -> None:
    lists = {
        A: PeerList((), {X: NEW, Y: OLD}), B: PeerList((), {X: OLD}), C: PeerList((), {X: NEW}),
    }  # fmt: skip

    assert blamed(lists, {X: NEW, Y: OLD}) == [
        (X, B, "older", False),
        (Y, B, "older", True),
        (Y, C, "older", True),
    ]
    one = differences(lists, {X: NEW, Y: OLD})[0]
    assert one.resolution.rule == "causality"
    assert one.resolution.votes[0].voters == (A, C)


def test_of_what_was_held_when_asking_a_list_says_only_what_differs() -> None:
    lists = {A: PeerList((), {X: NEW}), B: PeerList((X,), {})}

    assert differences(lists, {X: NEW}) == ()


def test_what_a_list_boasts_of_without_proof_counts_for_nothing() -> None:
    lists = {A: PeerList((), {X: NEW, Y: NEW}), B: PeerList((), {X: OLD})}

    assert blamed(lists, {X: OLD}) == []


def test_a_list_grows_by_what_further_frames_bring() -> None:
    whole = PeerList((A,)).with_more([(X, OLD)]).with_more([(X, NEW), (Y, OLD)])

    assert whole == PeerList((A,), {X: NEW, Y: OLD})


DOTS = st.builds(Dot, st.integers(0, 1), st.integers(1, 3))
VECTORS = st.dictionaries(st.sampled_from([A, B, X, Y]), DOTS, max_size=4)
LISTS = st.builds(
    PeerList, st.sets(st.sampled_from([X, Y])).map(lambda held: tuple(sorted(held))), VECTORS
)


@law
@given(st.dictionaries(st.sampled_from([A, B, C]), LISTS, max_size=3), VECTORS)
def test_the_order_of_answers_makes_no_difference_and_the_newest_is_never_blamed(
    lists: dict[NodeId, PeerList], verified: dict[NodeId, Dot]
) -> None:
    found = differences(lists, verified)

    assert differences(dict(reversed(list(lists.items()))), verified) == found
    for one in found:
        newest = one.resolution.votes[0].voters
        assert not {said.voter for said in one.resolution.discrepancies} & set(newest)
        assert one.owner in verified


def test_whoever_joins_hears_whom_the_seed_listed() -> None:
    world = World(3)
    for node in world.nodes:
        node.start()
    world.run(0.1)
    first, second, newcomer = world.nodes
    newcomer.join(first)
    newcomer.join(second)
    world.run(0.5)

    told = {
        event.node: event.told
        for _, event in newcomer.events
        if isinstance(event, Joined) and event.node and event.told
    }
    assert [list(one.listed or {}) for one in told.values()] == [[first.id], [second.id]]
    vector = newcomer.peer.registry.vector()
    lacking = {
        (said.voter, one.owner)
        for one in differences(told, vector)
        for said in one.resolution.discrepancies
    }
    assert lacking == {(first.id, second.id), (second.id, first.id)}
