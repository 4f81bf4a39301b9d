"""Whatever peers send, however late we are called: nothing raises, everything stays bounded."""

from collections.abc import Callable
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.detector.config import MembershipConfig
from protocol.detector.detection import (
    GOSSIP_BYTES_MAX,
    Ack,
    Ask,
    DetectorMessage,
    Gossip,
    Heartbeat,
    MembershipEffect,
    Ping,
    SignedAck,
    SignedVotes,
    Status,
    StatusChanged,
    Tell,
    Vote,
    gossip_bytes,
)
from protocol.detector.membership import Membership
from protocol.identity import NodeId
from tests.protocol.small_world import NamedVoice, node_id

MEMBERS = [node_id(number) for number in range(6)]
NODES = st.sampled_from([*MEMBERS, node_id(77)])
NUMBERS = st.one_of(st.integers(0, 5), st.integers(-(2**70), 2**70))
FLAGS = st.booleans()
ACKS = st.builds(
    lambda node, incarnation, counter, good: SignedAck(
        node, 0, incarnation, counter, (b"by" if good else b"not by") + node
    ),
    NODES,
    NUMBERS,
    NUMBERS,
    FLAGS,
)
VOTES = st.builds(
    lambda author, votes, stamp, good: SignedVotes(
        author, 0, tuple(votes), stamp, (b"by" if good else b"not by") + author
    ),
    NODES,
    st.lists(st.builds(Vote, NODES, NUMBERS, NUMBERS), max_size=30),
    NUMBERS,
    FLAGS,
)
MESSAGES: st.SearchStrategy[DetectorMessage] = st.one_of(
    st.builds(Heartbeat, NUMBERS, NUMBERS),
    st.builds(Ping, NUMBERS, FLAGS),
    st.builds(Ack, NUMBERS, NUMBERS, NUMBERS, st.none() | ACKS),
    st.builds(Ask, NODES),
    st.builds(
        Gossip,
        st.lists(ACKS, max_size=4).map(tuple),
        st.lists(VOTES, max_size=4).map(tuple),
    ),
)
LIFE = st.sampled_from(["admit", "stop", "leave", "forget", "stream", "lag", "heard", "sync"])
STEPS = st.lists(st.tuples(st.floats(0, 3), NODES, MESSAGES | LIFE), max_size=60)


def drive(steps: list[tuple[float, NodeId, DetectorMessage | str]]) -> list[MembershipEffect]:
    """Let all that happen to one node, and let it do all that is due in between."""
    membership = Membership(
        MembershipConfig(reap_after_s=20.0, members_max=6),
        MEMBERS[0],
        incarnation=1,
        voice=NamedVoice(MEMBERS[0]),
        rng=Random(5),
        now=0.0,
    )
    effects: list[MembershipEffect] = []
    for member in MEMBERS[1:]:
        effects += membership.admit(member, incarnation=1, now=0.0)
    now = 0.0
    for wait_s, node, step in steps:
        until = now + wait_s
        while membership.next_deadline <= until:
            now = max(now, membership.next_deadline)
            effects += membership.tick(now=now)
        now = until
        effects += happen(membership, node, step, now)
        assert len(membership.members()) <= 6
    return effects


def happen(
    membership: Membership, node: NodeId, step: DetectorMessage | str, now: float
) -> list[MembershipEffect]:
    if not isinstance(step, str):
        return membership.receive(step, node, now=now)
    if step == "lag":
        membership.lagged(1.0, now=now)
        return []
    leaving = step == "leave"
    deeds: dict[str, Callable[[], list[MembershipEffect]]] = {
        "admit": lambda: membership.admit(node, incarnation=1 + int(now), now=now),
        "stop": lambda: membership.depart(node, incarnation=int(now), leaving=leaving, now=now),
        "leave": lambda: membership.depart(node, incarnation=int(now), leaving=leaving, now=now),
        "forget": lambda: membership.forget(node, incarnation=9_999, now=now),
        "stream": lambda: membership.stream_answered(node, ok=True, now=now),
        "heard": lambda: membership.heard(node, now=now),
        "sync": lambda: membership.take_standing(membership.standing(), node, now=now),
    }
    return deeds[step]()


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_nothing_that_happens_can_make_it_raise(
    steps: list[tuple[float, NodeId, DetectorMessage | str]],
) -> None:
    believed: dict[NodeId, Status] = {}
    for effect in drive(steps):
        if isinstance(effect, StatusChanged):
            assert believed.get(effect.node) in (effect.old, None) or effect.old is None
            believed[effect.node] = effect.new
        if isinstance(effect, Tell) and isinstance(effect.message, Gossip):
            items: tuple[SignedAck | SignedVotes, ...]
            items = (*effect.message.acks, *effect.message.votes)
            assert 0 < sum(gossip_bytes(item) for item in items) <= GOSSIP_BYTES_MAX


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_the_same_past_gives_the_same_effects(
    steps: list[tuple[float, NodeId, DetectorMessage | str]],
) -> None:
    assert drive(steps) == drive(steps)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 60), st.integers(0, 2**32))
def test_early_and_repeated_ticks_do_nothing(until: float, seed: int) -> None:
    membership = Membership(
        MembershipConfig(),
        MEMBERS[0],
        incarnation=1,
        voice=NamedVoice(MEMBERS[0]),
        rng=Random(seed),
        now=0.0,
    )
    for member in MEMBERS[1:]:
        membership.admit(member, incarnation=1, now=0.0)
    while membership.next_deadline <= until:
        membership.tick(now=membership.next_deadline)

    assert membership.tick(now=until) == []
    assert membership.next_deadline > until
