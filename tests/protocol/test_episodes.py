"""What one node's reports say when its beliefs come in an awkward order: told directly."""

from protocol.agreement.partitions import DOUBTED_S, GIVE_UP_S, HINTED_WITHIN_S, Episodes
from protocol.agreement.report import Episode
from protocol.agreement.split import NO_ANSWER, SplitAnswer, SplitRequest, vector_of
from protocol.commits import Dot
from protocol.detector.detection import Status, StatusChanged
from protocol.identity import NodeId

from .split_world import SplitWorld

ALIVE, SUSPECT, UNREACHABLE = Status.ALIVE, Status.SUSPECT, Status.UNREACHABLE
FRESH_S = 0.1
"""A moment after which nothing has been forgotten."""


class Told:
    """The reports of node 0 of four, which hear each other well whatever it is told."""

    def __init__(self) -> None:
        self.world = SplitWorld(4, seed=1)
        self.world.start_together()
        self.world.run(5.0)
        self.ids = [node.id for node in self.world.nodes]
        self.peer = self.world.nodes[0].peer

    @property
    def episodes(self) -> Episodes:
        return self.peer.episodes

    @property
    def newest(self) -> Episode:
        return next(iter(self.episodes.newest()))

    def is_over(self) -> bool:
        return not self.episodes.open

    def hears(self, number: int, old: Status, new: Status) -> None:
        change = StatusChanged(self.ids[number], old, new, certified=False)
        self.episodes.changed(change, self.world.now)

    def misses(self, number: int) -> None:
        self.hears(number, ALIVE, SUSPECT)
        self.hears(number, SUSPECT, UNREACHABLE)

    def meets(self, number: int) -> None:
        self.hears(number, UNREACHABLE, ALIVE)

    def asked(self, by: int, held: dict[NodeId, Dot], *, apart_s: float = 60.0) -> SplitAnswer:
        incarnation = self.peer.membership.incarnation
        request = SplitRequest(incarnation, round(apart_s * 1000), vector_of(held))
        return self.episodes.answer(request, self.ids[by], self.world.now)

    def answered(self, by: int, *away: int) -> None:
        """One that returned says how it stood: nothing changed, and these were away from it."""
        held = self.held(*away)
        answer = SplitAnswer(
            known=True, complete=True, away=vector_of(held), here=(), changed=(), left=0
        )  # fmt: skip
        self.episodes.answered(self.ids[by], answer, self.world.now)

    def held(self, *numbers: int) -> dict[NodeId, Dot]:
        vector = self.peer.registry.vector()
        return {self.ids[number]: vector[self.ids[number]] for number in numbers}

    def writes(self, number: int) -> None:
        self.world.write(self.world.nodes[number])
        self.world.run(FRESH_S)


def test_nobody_answers_for_a_split_with_what_it_remembers_of_an_earlier_one() -> None:
    told = Told()
    told.misses(1)
    told.world.run(1.0)
    told.meets(1)
    told.world.run(5.0)

    assert told.asked(1, {}, apart_s=4.0) == NO_ANSWER
    assert told.asked(1, {}, apart_s=6.0).known


def test_an_answer_is_not_complete_where_the_asker_did_not_miss_who_changed() -> None:
    told = Told()
    before = told.held(0, 2)
    told.misses(1)
    told.writes(2)
    told.meets(1)

    unmissed = told.asked(1, {told.ids[0]: before[told.ids[0]]})
    missed = told.asked(1, before)

    assert not unmissed.complete
    assert missed.complete
    assert [one.owner for one in missed.changed] == [told.ids[2]]


def test_who_was_under_suspicion_at_the_contact_is_not_spoken_for() -> None:
    told = Told()
    told.misses(1)
    told.hears(2, ALIVE, SUSPECT)
    told.world.run(FRESH_S)
    told.hears(2, SUSPECT, ALIVE)
    told.meets(1)

    answer = told.asked(1, told.held(0))

    assert answer.complete
    assert dict(answer.away) == told.held(1, 2)


def test_who_was_under_suspicion_and_whom_nobody_speaks_for_makes_a_report_inexact() -> None:
    for away, exact in (((0, 2), False), ((0,), True)):
        told = Told()
        told.misses(1)
        told.hears(2, ALIVE, SUSPECT)
        told.world.run(FRESH_S)
        told.hears(2, SUSPECT, ALIVE)
        told.meets(1)

        told.answered(1, *away)

        assert told.newest.reconciled
        assert told.newest.exact == exact


def test_a_suspicion_long_over_is_none() -> None:
    told = Told()
    told.hears(2, ALIVE, SUSPECT)
    told.hears(2, SUSPECT, ALIVE)
    told.world.run(HINTED_WITHIN_S + FRESH_S)
    told.misses(1)
    told.meets(1)

    told.answered(1, 0, 2)

    assert told.newest.exact


def test_the_other_sides_votes_against_ours_are_no_suspicion() -> None:
    told = Told()
    told.misses(1)
    told.misses(3)
    told.meets(1)
    told.world.run(DOUBTED_S / 10)
    told.hears(2, ALIVE, SUSPECT)
    told.meets(3)

    told.answered(1, 0, 2, 3)
    told.answered(3, 0, 1, 2)

    assert told.newest.reconciled
    assert told.newest.exact


def test_a_report_ends_though_the_one_that_cannot_answer_sends_us_no_heartbeats() -> None:
    told = Told()
    told.misses(1)
    told.meets(1)
    told.episodes.drain()
    told.episodes.answered(told.ids[1], None, told.world.now)
    told.episodes.heard_root(told.ids[2], equal=True, now=told.world.now)
    assert not told.is_over()

    later = told.world.now
    later = later._replace(mono_s=later.mono_s + GIVE_UP_S + FRESH_S)
    told.episodes.heard_root(told.ids[2], equal=True, now=later)

    assert told.is_over()
    assert not told.newest.exact
