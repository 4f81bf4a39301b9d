from chaos.checkers.detection import check, sides_of
from chaos.checkers.limits import Limits
from chaos.history import Belief, Life, Theft
from chaos.verdict import Finding, Verdict

from .situations import LIMITS, Story, both_ways


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


def crashed(*seen_at: tuple[str, float]) -> Story:
    """Node a crashes at 20 s; these viewers see it then."""
    story = Story()
    story.lived("a", 20.0, Life.CRASHED)
    for node, at in seen_at:
        story.believes(node, "a", Belief.UNREACHABLE, at)
    return story


def test_a_crash_that_everyone_sees_is_well() -> None:
    finding = expect_valid(crashed(("b", 21.0), ("c", 21.5)))

    assert finding.looked_at == 2
    assert finding.figures["detection_p50_s"] == 1.0
    assert finding.figures["detection_max_s"] == 1.5
    assert finding.figures["detection_all_count"] == 1


def test_nothing_crashed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_a_crash_that_is_over_too_soon_is_told_with_who_noticed() -> None:
    story = Story()
    for down in (20.0, 60.0):
        story.restarts("a", down, down + 3.0)
    story.believes("b", "a", Belief.UNREACHABLE, 21.5)
    story.believes("b", "a", Belief.ALIVE, 23.5)
    story.believes("b", "a", Belief.UNREACHABLE, 61.0)
    story.believes("c", "a", Belief.UNREACHABLE, 64.0)

    finding = judged(story)

    assert finding.verdict is Verdict.UNKNOWN
    (line,) = finding.unjudged
    assert line == (
        "2 crashes were over before the others had to know, which is 5 s after a crash alone and "
        "10 s after one of several; 2 of 4 nodes that could noticed, after 1.50 s at most"
    )


def test_a_cut_that_is_mended_too_soon_is_told_with_who_noticed() -> None:
    story = Story()
    story.links(20.0, both_ways("ab", "c"))
    story.links(24.0)
    story.believes("a", "c", Belief.UNREACHABLE, 22.0)

    (line,) = judged(story).unjudged

    assert line.startswith("1 cut was over or changed before both sides had to know")
    assert line.endswith("1 of 4 views across it noticed, after 2.00 s at most")


def test_what_else_is_not_judged_is_told_with_the_reason() -> None:
    story = crashed(("b", 21.0), ("c", 21.0))
    story.links(19.0, loss=0.2)
    story.lived("b", 70.0, Life.PAUSED)
    story.lived("b", 71.0, Life.RESUMED)

    lossy, frozen = judged(story).unjudged

    assert lossy.startswith("1 crash or cut: links were cut again and again, were slow, or lost")
    assert (
        frozen == "1 time a node was frozen: that need not be noticed, for a frozen node may go on"
    )


def test_a_crash_that_is_judged_leaves_nothing_to_tell() -> None:
    assert judged(crashed(("b", 21.0), ("c", 21.5))).unjudged == ()


def test_a_crash_that_one_does_not_see_is_named() -> None:
    expect_invalid(crashed(("b", 21.0)), "a crashed at 20.000 s, and c still held it for alive")


def test_a_crash_that_one_sees_too_late_is_named() -> None:
    expect_invalid(crashed(("b", 21.0), ("c", 26.0)), "c still held it for alive at 25.000 s")


def test_who_takes_it_back_has_not_seen_it() -> None:
    story = crashed(("b", 21.0), ("c", 21.0))
    story.believes("c", "a", Belief.ALIVE, 23.0)

    expect_invalid(story, "c still held it")


def test_suspicion_is_not_enough() -> None:
    story = crashed(("b", 21.0))
    story.believes("c", "a", Belief.SUSPECT, 21.0)

    expect_invalid(story, "for suspect")


def test_a_larger_cluster_has_more_time() -> None:
    limits = Limits()

    assert limits.detection_s(3) == limits.detection_s(32) == limits.detection_base_s
    assert limits.detection_s(128) == limits.detection_base_s + 2 * limits.detection_per_doubling_s


def test_who_was_away_before_is_seen_but_not_measured() -> None:
    story = Story()
    story.believes("b", "a", Belief.UNREACHABLE, 19.0)
    story.believes("c", "a", Belief.UNREACHABLE, 22.0)
    story.lived("a", 20.0, Life.CRASHED)

    assert expect_valid(story).figures["detection_count"] == 1


def test_dead_after_unreachable_counts_from_the_first() -> None:
    story = crashed(("b", 21.0), ("c", 21.0))
    story.believes("c", "a", Belief.DEAD, 24.0)

    assert expect_valid(story).figures["detection_max_s"] == 1.0


def test_a_short_crash_need_not_be_seen() -> None:
    story = crashed()
    story.lived("a", 24.0, Life.STARTED)

    assert judged(story).verdict is Verdict.UNKNOWN


def test_a_crash_near_the_end_is_not_judged() -> None:
    story = Story()
    story.lived("a", 97.0, Life.CRASHED)

    assert judged(story).verdict is Verdict.UNKNOWN


def test_goodbyes_and_pauses_need_not_be_seen() -> None:
    for life in (Life.STOPPED, Life.PAUSED):
        story = Story()
        story.lived("a", 20.0, life)

        assert judged(story).verdict is Verdict.UNKNOWN


def test_a_viewer_that_does_not_run_all_the_time_is_not_judged() -> None:
    for life, at in ((Life.PAUSED, 21.0), (Life.CRASHED, 21.0), (Life.PAUSED, 15.0)):
        story = crashed(("b", 21.0))
        story.lived("c", at, life)
        story.lived("c", at + 1, Life.STARTED if life is Life.CRASHED else Life.RESUMED)

        assert expect_valid(story).looked_at == 1


def test_a_viewer_that_does_not_know_the_subject_need_not_see_it() -> None:
    story = crashed(("b", 21.0))
    story.restarts("c", 1.0, 2.0)

    assert expect_valid(story).looked_at == 1


def test_in_a_world_that_is_not_joined_a_viewer_knows_whom_it_has_met() -> None:
    story = Story()
    story.history.joined = False
    story.believes("b", "a", Belief.ALIVE, 3.0)
    story.lived("a", 20.0, Life.CRASHED)

    expect_invalid(story, "b still held it for alive")


def test_villains_are_neither_heard_nor_judged() -> None:
    story = crashed(("b", 21.0))
    story.history.villains = ("c",)
    expect_valid(story)

    story.history.villains = ("a",)
    assert judged(story).verdict is Verdict.UNKNOWN


def test_under_many_losses_or_hard_links_nothing_is_judged() -> None:
    for loss, hard in ((0.2, False), (0.0, True)):
        story = crashed()
        story.links(10.0, loss=loss, hard=hard)

        assert judged(story).verdict is Verdict.UNKNOWN


def test_a_cut_in_between_gives_more_time() -> None:
    for seen_at, wrong in ((27.5, False), (28.5, True)):
        story = crashed(("b", 21.0), ("c", seen_at))
        story.links(23.0, [("b", "c")])

        assert (judged(story).verdict is Verdict.INVALID) == wrong


def split(*seen_at: tuple[str, str, float]) -> Story:
    """Nodes a and b are cut from c at 20 s."""
    story = Story()
    story.links(20.0, both_ways("ab", "c"))
    for viewer, subject, at in seen_at:
        story.believes(viewer, subject, Belief.UNREACHABLE, at)
    return story


ALL_SEEN = (("a", "c", 22.0), ("b", "c", 22.5), ("c", "a", 23.0), ("c", "b", 24.0))


def test_both_sides_of_a_split_see_it() -> None:
    finding = expect_valid(split(*ALL_SEEN))

    assert finding.looked_at == 4
    assert finding.figures["split_p50_s"] == 2.5
    assert finding.figures["split_max_s"] == 4.0


def test_a_split_that_one_does_not_see_is_named() -> None:
    expect_invalid(split(*ALL_SEEN[:3]), "c and b were apart from 20.000 s on, and c still held")


def test_for_whom_a_thief_can_pass_need_not_be_seen_away() -> None:
    for stolen_s, wrong in ((10.0, False), (40.0, True)):
        for story in (crashed(("b", 21.0)), split(*ALL_SEEN[:3])):
            story.history.thefts += [Theft(stolen_s, owner, 0) for owner in ("a", "b")]

            assert (judged(story).verdict is Verdict.INVALID) == wrong


def test_a_split_that_heals_soon_need_not_be_seen() -> None:
    story = split()
    story.links(27.0)

    assert judged(story).verdict is Verdict.UNKNOWN


def test_after_another_cut_a_split_has_its_time_again() -> None:
    for end_s, wrong in ((34.0, False), (36.0, True)):
        story = split(*ALL_SEEN[:3])
        story.links(27.0, [*both_ways("ab", "c"), ("a", "b")])
        story.history.end_s = end_s

        finding = judged(story)

        assert (finding.verdict is Verdict.INVALID) == wrong
        assert not wrong or "c and b were apart from 27.000 s on" in finding.witness


def test_one_cut_after_another_may_take_longer_to_be_seen() -> None:
    for second_at, until, wrong in ((24.0, 33.5, False), (26.0, 35.0, True)):
        story = Story()
        story.links(20.0, [("a", "b")])
        story.links(second_at, both_ways("ab", "c"))
        story.history.end_s = until

        assert (judged(story).verdict is Verdict.INVALID) == wrong


def test_links_that_only_lose_more_are_no_other_cut() -> None:
    story = split(*ALL_SEEN[:3])
    story.links(24.0, both_ways("ab", "c"), loss=0.05)

    expect_invalid(story, "c and b were apart from 20.000 s on")


def test_a_cut_that_follows_another_closely_is_not_measured() -> None:
    story = Story()
    story.links(18.0, [("a", "b")])
    story.links(20.0, both_ways("ab", "c"))
    for viewer, subject, at in ALL_SEEN:
        story.believes(viewer, subject, Belief.UNREACHABLE, at)

    assert "split_count" not in expect_valid(story).figures


def test_who_is_reached_by_way_of_others_is_not_apart() -> None:
    story = Story()
    story.links(20.0, both_ways("a", "c"))

    assert judged(story).verdict is Verdict.UNKNOWN


def test_one_way_is_enough_not_to_be_apart() -> None:
    story = Story()
    story.links(20.0, [("a", "c"), ("b", "c")])

    assert judged(story).verdict is Verdict.UNKNOWN


def test_sides_are_found_by_way_of_others() -> None:
    nodes = ("a", "b", "c", "d")

    assert sides_of(nodes, frozenset()) == [["a", "b", "c", "d"]]
    assert sides_of(nodes, frozenset(both_ways("ab", "cd"))) == [["a", "b"], ["c", "d"]]
    assert sides_of(nodes, frozenset(both_ways("a", "bc"))) == [["a", "d", "b", "c"]]


def test_whom_a_viewer_had_met_in_another_life_it_need_not_know() -> None:
    story = crashed(("b", 21.0))
    story.believes("c", "a", Belief.ALIVE, 3.0)
    story.restarts("c", 4.0, 5.0)

    assert expect_valid(story).looked_at == 1


def test_in_a_world_that_is_not_joined_a_viewer_need_not_know_whom_it_never_met() -> None:
    story = Story()
    story.history.joined = False
    story.lived("a", 20.0, Life.CRASHED)

    assert judged(story).verdict is Verdict.UNKNOWN


def test_several_that_crash_together_may_take_longer_to_be_seen() -> None:
    for seen_at, wrong in ((29.0, False), (31.0, True)):
        story = Story(("a", "b", "c", "d"))
        story.lived("a", 20.0, Life.CRASHED)
        story.lived("d", 22.0, Life.CRASHED)
        for subject in "ad":
            story.believes("b", subject, Belief.UNREACHABLE, 23.0)
            story.believes("c", subject, Belief.UNREACHABLE, seen_at)

        finding = judged(story)

        assert (finding.verdict is Verdict.INVALID) == wrong
        assert "detection_count" not in finding.figures
        assert finding.figures["detection_together_all_count"] == 2


def test_a_crash_right_after_links_were_mended_may_take_longer_to_be_seen() -> None:
    story = crashed(("b", 21.0), ("c", 29.0))
    story.links(10.0, [("b", "c")])
    story.links(18.0)

    expect_valid(story)


def test_a_crash_long_after_others_is_alone() -> None:
    story = crashed(("b", 21.0), ("c", 30.0))
    story.restarts("b", 1.0, 2.0)
    story.links(10.0, [("b", "c")])
    story.links(14.0)

    expect_invalid(story, "c still held it")
