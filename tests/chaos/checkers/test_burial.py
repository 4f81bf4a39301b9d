from chaos.checkers.burial import check
from chaos.history import Belief, Life
from chaos.verdict import Finding, Verdict

from .situations import LIMITS, Story

FIVE = ("a", "b", "c", "d", "e")


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_burial(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def who_lost(*lost: str, buried: str, nodes: tuple[str, ...] = FIVE) -> Story:
    """Node a loses some members at 10 s and declares one of them dead at 25 s."""
    story = Story(nodes)
    for subject in lost:
        story.believes("a", subject, Belief.UNREACHABLE, 10.0)
    story.believes("a", buried, Belief.DEAD, 25.0)
    return story


def test_a_majority_may_bury() -> None:
    finding = judged(who_lost("d", "e", buried="e"))

    assert finding.verdict is Verdict.VALID
    assert finding.looked_at == 2


def test_a_minority_may_not() -> None:
    expect_burial(who_lost("c", "d", "e", buried="e"), "a declared e dead", "2 of the 5")


def test_exactly_half_is_no_majority() -> None:
    expect_burial(who_lost("c", "d", buried="d", nodes=("a", "b", "c", "d")), "2 of the 4")


def test_two_nodes_cannot_outvote_each_other() -> None:
    expect_burial(who_lost("b", buried="b", nodes=("a", "b")), "1 of the 2")


def test_the_dead_do_not_count_among_those_last_known() -> None:
    story = who_lost("d", "e", buried="e")
    story.believes("a", "d", Belief.DEAD, 25.0)
    story.believes("a", "c", Belief.UNREACHABLE, 30.0)
    story.believes("a", "c", Belief.DEAD, 50.0)

    assert judged(story).verdict is Verdict.VALID


def test_who_said_goodbye_goes_without_a_majority() -> None:
    story = Story(("a", "b"))
    story.believes("a", "b", Belief.STOPPING, 5.0)
    story.believes("a", "b", Belief.UNREACHABLE, 10.0)
    story.believes("a", "b", Belief.DEAD, 25.0)

    assert judged(story).verdict is not Verdict.INVALID


def test_a_node_that_starts_anew_counts_only_whom_it_has_heard_of_since() -> None:
    story = who_lost("d", "e", buried="d")
    story.lived("a", 30.0, Life.CRASHED)
    story.lived("a", 31.0, Life.STARTED)
    story.believes("a", "b", Belief.UNREACHABLE, 40.0)
    story.believes("a", "b", Belief.DEAD, 60.0)

    expect_burial(story, "a declared b dead at 60.000 s", "1 of the 2")


def test_to_be_told_of_a_death_is_no_burial() -> None:
    story = Story(("a", "b"))
    story.believes("a", "b", Belief.DEAD, 5.0)

    assert judged(story).verdict is Verdict.UNKNOWN
