import pytest

from chaos.checkers.false_death import check
from chaos.history import Belief, Life, View
from chaos.verdict import Finding, Verdict

from .situations import END_S, LIMITS, Story, both_ways


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_valid(story: Story) -> Finding:
    finding = judged(story)
    assert finding.verdict is Verdict.VALID, finding.witness
    return finding


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def flagged(since: float, until: float, belief: Belief = Belief.UNREACHABLE) -> Story:
    """Viewer b holds a for away for some time; nothing else happens."""
    story = Story()
    story.believes("b", "a", belief, since)
    story.believes("b", "a", Belief.ALIVE, until)
    return story


def test_a_quiet_cluster_is_well_and_all_pairs_are_looked_at() -> None:
    assert expect_valid(Story()).looked_at == 6


def test_no_time_at_all_is_unknown() -> None:
    story = Story()
    story.history.end_s = 0.0

    assert judged(story).verdict is Verdict.UNKNOWN


def test_a_short_flag_is_counted_only() -> None:
    figures = expect_valid(flagged(20.0, 22.0)).figures

    assert figures["pairs_flagged_count"] == 1
    assert figures["wrongly_away_total_s"] == 2.0
    assert figures["wrongly_away_worst_s"] == 2.0


def test_a_long_flag_is_wrong() -> None:
    expect_invalid(flagged(20.0, 24.0), "b held a for unreachable from 20.000 s to 24.000 s")


def test_a_flag_that_is_never_taken_back_is_wrong() -> None:
    story = Story()
    story.believes("b", "a", Belief.UNREACHABLE, 20.0)

    expect_invalid(story, "to 100.000 s")


def test_dead_is_wrong_at_once() -> None:
    expect_invalid(flagged(20.0, 20.1, Belief.DEAD), "b held a for dead from 20.000 s")


def test_suspicion_is_no_flag() -> None:
    assert expect_valid(flagged(20.0, 60.0, Belief.SUSPECT)).figures["pairs_flagged_count"] == 0


@pytest.mark.parametrize(("loss", "wrong"), [(0.05, True), (0.2, False)])
def test_with_many_losses_a_flag_may_last_longer(loss: float, wrong: bool) -> None:
    story = flagged(20.0, 25.0)
    story.links(0.0, loss=loss)

    assert (judged(story).verdict is Verdict.INVALID) == wrong


def test_with_too_many_losses_or_hard_links_nothing_is_judged() -> None:
    for loss, hard in ((0.5, False), (0.0, True)):
        story = flagged(20.0, 60.0, Belief.DEAD)
        story.links(0.0, loss=loss, hard=hard)

        assert judged(story).verdict is Verdict.UNKNOWN


def test_who_is_down_may_be_dead() -> None:
    story = flagged(21.0, 42.0, Belief.DEAD)
    story.restarts("a", 20.0, 40.0)

    expect_valid(story)


def test_who_said_goodbye_may_be_away_until_it_starts_again() -> None:
    story = flagged(21.0, 42.0)
    story.lived("a", 20.0, Life.STOPPED)
    story.lived("a", 40.0, Life.STARTED)

    expect_valid(story)


def test_who_has_just_started_needs_a_while() -> None:
    for until, wrong in ((47.0, False), (49.0, True)):
        story = flagged(21.0, until)
        story.restarts("a", 20.0, 40.0)

        assert (judged(story).verdict is Verdict.INVALID) == wrong


def test_a_viewer_that_has_just_started_needs_a_while() -> None:
    story = flagged(41.0, 47.0)
    story.restarts("b", 20.0, 40.0)

    expect_valid(story)


def test_a_viewer_forgets_when_it_starts_anew() -> None:
    story = Story()
    story.believes("b", "a", Belief.UNREACHABLE, 19.0)
    story.restarts("b", 20.0, 40.0)

    expect_valid(story)


def test_who_is_paused_may_be_away() -> None:
    story = flagged(21.0, 42.0)
    story.lived("a", 20.0, Life.PAUSED)
    story.lived("a", 40.0, Life.RESUMED)

    expect_valid(story)


def test_who_is_cut_from_another_may_be_away_to_everyone() -> None:
    story = flagged(21.0, 42.0)
    story.links(20.0, [("c", "a")])
    story.links(40.0)

    expect_valid(story)


def test_a_cut_between_others_is_no_excuse() -> None:
    story = flagged(21.0, 42.0)
    story.links(20.0, both_ways("b", "c"))
    story.links(40.0)

    expect_invalid(story, "b held a")


def test_a_cut_from_one_that_is_down_is_no_excuse() -> None:
    story = flagged(21.0, 42.0)
    story.lived("c", 10.0, Life.CRASHED)
    story.links(20.0, both_ways("a", "c"))
    story.links(40.0)

    expect_invalid(story, "b held a")


def test_a_cut_from_a_villain_is_no_excuse() -> None:
    story = flagged(21.0, 42.0)
    story.history.villains = ("c",)
    story.links(20.0, both_ways("a", "c"))
    story.links(40.0)

    expect_invalid(story, "b held a")


@pytest.mark.parametrize("belief", [Belief.UNREACHABLE, Belief.DEAD])
def test_after_healing_a_flag_has_time_to_go(belief: Belief) -> None:
    for until, wrong in ((44.5, False), (45.5, True)):
        story = flagged(21.0, until, belief)
        story.links(20.0, both_ways("ac", "b"))
        story.links(40.0)

        assert (judged(story).verdict is Verdict.INVALID) == wrong


def test_villains_are_neither_heard_nor_judged() -> None:
    for villain in ("a", "b"):
        story = flagged(20.0, 60.0, Belief.DEAD)
        story.history.villains = (villain,)

        expect_valid(story)


def test_unreachable_that_becomes_dead_is_one_flag() -> None:
    story = Story()
    story.links(20.0, both_ways("ac", "b"))
    story.believes("b", "a", Belief.UNREACHABLE, 22.0)
    story.believes("b", "a", Belief.DEAD, 37.0)
    story.links(40.0)
    story.believes("b", "a", Belief.ALIVE, 46.0)

    figures = judged(story).figures

    assert figures["wrongly_away_total_s"] == 1.0


def view(node: str, *beliefs: tuple[str, Belief]) -> View:
    return View(node, "H", "R", (), beliefs)


@pytest.mark.parametrize("belief", [Belief.UNKNOWN, Belief.LEFT, Belief.STOPPING, Belief.DEAD])
def test_at_the_end_the_core_holds_all_of_itself_for_here(belief: Belief) -> None:
    story = Story()
    story.history.views = [view("a", ("b", Belief.ALIVE), ("c", belief))]

    expect_invalid(story, f"a, at the end, holds c for {belief.value}")


def test_at_the_end_others_may_be_away() -> None:
    story = Story(core=("a", "b"))
    story.lived("c", 30.0, Life.CRASHED)
    story.history.views = [view("a", ("b", Belief.SUSPECT), ("c", Belief.DEAD))]

    expect_valid(story)


def test_a_flag_that_has_just_begun_may_stand_at_the_end() -> None:
    story = Story()
    story.believes("a", "b", Belief.UNREACHABLE, END_S - 1)
    story.history.views = [view("a", ("b", Belief.UNREACHABLE))]

    expect_valid(story)


def test_at_the_end_only_the_core_is_demanded() -> None:
    story = Story(core=("a", "b"))
    story.history.views = [view("a", ("b", Belief.ALIVE), ("c", Belief.UNKNOWN))]

    expect_valid(story)


def test_when_the_one_it_was_cut_from_dies_a_member_is_sound_again() -> None:
    story = flagged(21.0, 42.0)
    story.links(20.0, both_ways("a", "c"))
    story.lived("c", 25.0, Life.CRASHED)

    expect_invalid(story, "b held a", "since 25.000 s")


def test_who_starts_late_may_be_away_before() -> None:
    story = flagged(10.0, 35.0)
    story.lived("a", 30.0, Life.STARTED)

    expect_valid(story)
