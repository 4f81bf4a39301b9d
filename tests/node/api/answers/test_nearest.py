"""The nearest come first, as far as distances are known."""

from node.api.answers.nearest import nearest, owners_of
from protocol.registry import Instance
from tests.protocol.peer_world import service
from tests.protocol.test_distances import measured
from tests.protocol.test_membership import BOB, CAROL, DAVE, ME, alice


def test_they_come_by_measured_distance_and_those_of_unknown_distance_last_by_id() -> None:
    membership = alice(BOB, CAROL, DAVE)
    found = [
        Instance(owner, service(port=port))
        for port, owner in enumerate((DAVE, CAROL, BOB, ME, BOB, DAVE), start=1)
    ]

    before = nearest(found, membership.distances, 10)
    measured(membership, BOB, 0.003, now=0.0)
    measured(membership, CAROL, 0.002, now=1.0)
    after = nearest(found, membership.distances, 10)

    assert [one.service.port for one in before] == [4, 1, 2, 3, 5, 6]
    assert [one.service.port for one in after] == [4, 2, 3, 5, 1, 6]
    for limit in range(1, 7):
        assert nearest(found, membership.distances, limit) == after[:limit]
    assert list(owners_of(found)) == [DAVE, CAROL, BOB, ME]
