from chaos.checkers.delivery import OVERDUE_S, UNDER_WAY_S, WAIT_MAX_S, check
from chaos.history import Acknowledged, Queued, Remembered, Theft
from chaos.verdict import Finding, Verdict

from .situations import END_S, LIMITS, Story

NONE = (-1, 0)


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def acknowledges(
    story: Story, at: float, held: int, *, peer: str = "b", stored: int | None = None
) -> None:
    vouched = (0, stored) if stored is not None else NONE
    story.history.acknowledged.append(Acknowledged(at, "a", peer, (0, held), vouched))


def queues(
    story: Story,
    held: int,
    *,
    next_try: float = END_S + 1,
    at: float = END_S,
    under_way: bool = False,
    lacks: bool = True,
) -> None:
    story.history.queued.append(Queued(at, "a", "b", (0, held), lacks, next_try, under_way))


def starts(story: Story, at: float, version: int) -> None:
    story.history.remembered.append(Remembered(at, "b", "a", (0, version)))


def taken(*versions: int) -> Story:
    """`a` signed these, and `b` took each a tenth of a second later."""
    story = Story()
    for version in versions:
        story.signs("a", version, 10.0 + version)
        story.takes("b", "a", version, 10.1 + version)
    return story


def test_an_acknowledgement_of_what_was_taken_is_well_and_measured() -> None:
    story = taken(1, 2)
    acknowledges(story, 12.2, 2, stored=2)

    finding = judged(story)

    assert finding.verdict is Verdict.VALID
    assert finding.figures["acknowledged_p50_s"] == 0.2


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_a_peer_is_not_to_be_taken_for_holding_what_it_had_not_taken() -> None:
    story = taken(1)
    story.signs("a", 2, 12.0)
    acknowledges(story, 12.2, 2)

    expect_invalid(story, "a, by an acknowledgement at 12.200 s, takes b", "commit 2")


def test_nor_by_a_row_of_the_queue_after_a_start() -> None:
    story = taken(1)
    story.signs("a", 2, 12.0)
    queues(story, 2, at=20.0, lacks=False)

    expect_invalid(story, "in its queue at 20.000 s")


def test_whose_key_is_stolen_may_be_spoken_for_from_then_on() -> None:
    before, after = taken(1), taken(1)
    for story, stolen_s in ((before, 12.1), (after, 12.3)):
        story.history.thefts.append(Theft(stolen_s, "b", 0))
        story.signs("a", 2, 12.0)
        acknowledges(story, 12.2, 2)

    assert judged(before).verdict is Verdict.UNKNOWN
    assert judged(after).verdict is Verdict.INVALID


def test_what_was_signed_before_the_run_is_excused() -> None:
    story = Story()
    story.signs("a", 1, 0.0)
    acknowledges(story, 1.0, 1)

    assert judged(story).verdict is Verdict.UNKNOWN


def test_a_receipt_is_forgotten_by_no_start() -> None:
    story = taken(1, 2)
    acknowledges(story, 12.2, 2, stored=2)
    story.restarts("b", 20.0, 21.0)
    starts(story, 21.0, 1)

    expect_invalid(story, "b gave a a receipt for its commit 2", "started at 21.000 s with 1")


def test_but_by_a_damaged_disk() -> None:
    story = taken(1, 2)
    acknowledges(story, 12.2, 2, stored=2)
    story.restarts("b", 20.0, 21.0, damaged=True)
    starts(story, 21.0, 1)

    assert judged(story).verdict is Verdict.VALID


def test_a_receipt_may_have_been_under_way_while_the_disk_was_damaged() -> None:
    at_limit, beyond = taken(1, 2), taken(1, 2)
    for story, late in ((at_limit, 0.0), (beyond, 0.01)):
        story.restarts("b", 12.0, 12.1, damaged=True)
        acknowledges(story, 12.0 + UNDER_WAY_S + late, 2, stored=2)
        story.restarts("b", 20.0, 21.0)
        starts(story, 21.0, 1)

    assert judged(at_limit).verdict is Verdict.VALID
    assert judged(beyond).verdict is Verdict.INVALID


def test_whoever_lacks_something_is_to_be_tried() -> None:
    story = taken(1)
    queues(story, 1, next_try=0.0)

    expect_invalid(story, "a's queue waits for b at the end, to be tried: never")


def test_and_soon_after_it_was_due() -> None:
    at_limit, beyond = taken(1), taken(1)
    queues(at_limit, 1, next_try=END_S - OVERDUE_S)
    queues(beyond, 1, next_try=END_S - OVERDUE_S - 0.01)

    assert judged(at_limit).verdict is Verdict.VALID
    expect_invalid(beyond, "to be tried: 97.990 s")


def test_and_before_anybody_could_forget_it() -> None:
    at_limit, beyond = taken(1), taken(1)
    queues(at_limit, 1, next_try=END_S + WAIT_MAX_S)
    queues(beyond, 1, next_try=END_S + WAIT_MAX_S + 0.01)

    assert judged(at_limit).verdict is Verdict.VALID
    assert judged(beyond).verdict is Verdict.INVALID


def test_a_try_under_way_is_as_good_as_planned() -> None:
    story = taken(1)
    queues(story, 1, next_try=0.0, under_way=True)

    assert judged(story).verdict is Verdict.VALID


def test_villains_are_not_judged() -> None:
    story = taken(1)
    story.history.villains = ("b",)
    story.signs("a", 2, 12.0)
    acknowledges(story, 12.2, 2)

    assert judged(story).verdict is Verdict.UNKNOWN
