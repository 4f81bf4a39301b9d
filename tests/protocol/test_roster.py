"""What the roster keeps of its answers is what it would work out anew."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.detector.detection import Status
from protocol.detector.roster import Assembly, Roster, newcomer
from protocol.identity import NodeId

from .laws import law
from .small_world import node_id

ME = node_id(0)
OTHERS = [node_id(number) for number in range(1, 9)]
DEEDS = st.tuples(
    st.sampled_from(OTHERS), st.sampled_from([*Status, None]), st.sampled_from([None, 1])
)
"""Of whom is believed what (None: it is known no more), and whether it said that it goes."""


@law
@given(st.lists(DEEDS, max_size=30), st.booleans())
def test_the_nearest_are_those_of_the_members_as_they_are_now(
    deeds: list[tuple[NodeId, Status | None, int | None]], is_joined: bool
) -> None:
    assembly = Assembly.of(dict.fromkeys([ME, *OTHERS], 1), 4, now=0.0) if is_joined else None
    roster = Roster(ME, 4, assembly)
    for node, status, farewell in deeds:
        member = roster.get(node)
        if member is None:
            roster.add(newcomer(node, 1, 0.0))
        elif status is None:
            roster.remove(member)
        else:
            roster.move(member, status, farewell=farewell, now=0.0)

        for count in (2, 4):
            assert roster.nearest(count) == roster.rings.neighbours(ME, count, roster.reached)
