from chaos.checkers.resurrection import check
from chaos.history import Life, Outcome
from chaos.verdict import Finding, Verdict

from .situations import LIMITS, WEB, Story


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_valid(story: Story) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.VALID, finding.witness


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def expect_excused(story: Story) -> None:
    finding = judged(story)
    assert finding.verdict is not Verdict.INVALID, finding.witness


def deregistered() -> tuple[Story, int]:
    story = Story()
    value = story.register(WEB, at=10.0)
    story.deregister(WEB, at=20.0)
    return story, value


def test_what_was_deregistered_and_is_gone_is_well() -> None:
    story, _ = deregistered()
    story.ends_with({})

    expect_valid(story)


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_a_deregistered_key_does_not_show_at_the_end() -> None:
    story, value = deregistered()
    story.ends_with({}, "a", "b")
    story.ends_with({WEB: value}, "c")

    expect_invalid(story, "c, at the end, shows a/web/web-1", "deregistration 2")


def test_a_key_that_was_registered_again_may_show() -> None:
    story, _ = deregistered()
    again = story.register(WEB, at=30.0)
    story.ends_with({WEB: again})
    story.lookup("a", 40.0, "web", {WEB: again})

    expect_valid(story)


def test_an_indefinite_registration_may_come_after_the_removal() -> None:
    story, _ = deregistered()
    again = story.register(WEB, at=30.0, outcome=Outcome.INDEFINITE)
    story.ends_with({WEB: again})

    expect_excused(story)


def test_an_indefinite_removal_demands_nothing() -> None:
    story = Story()
    value = story.register(WEB, at=10.0)
    story.deregister(WEB, at=20.0, outcome=Outcome.INDEFINITE)
    story.ends_with({WEB: value})

    expect_excused(story)


def test_a_removal_and_a_registration_at_once_may_end_either_way() -> None:
    story = Story()
    story.deregister(WEB, at=10.0, took=2.0)
    value = story.register(WEB, at=11.0, took=2.0)
    story.ends_with({WEB: value})

    expect_excused(story)


def test_a_lookup_long_after_healing_does_not_show_it() -> None:
    story, value = deregistered()
    story.lookup("b", 56.0, "web", {WEB: value})

    expect_invalid(story, "b, asked at 56.000 s", "gone by deregistration 2")


def test_a_lookup_soon_after_healing_may_show_it() -> None:
    story, value = deregistered()
    story.lookup("b", 54.0, "web", {WEB: value})

    expect_excused(story)


def test_what_only_a_damaged_disk_knew_to_be_gone_may_come_back() -> None:
    story, value = deregistered()
    story.restarts("a", 21.0, 22.0, damaged=True)
    story.ends_with({WEB: value})

    expect_excused(story)


def test_what_another_had_taken_to_be_gone_stays_gone_whatever_the_owner_forgot() -> None:
    story, value = deregistered()
    story.signs("a", 2, 20.05)
    story.takes("b", "a", 2, 20.2)
    story.restarts("a", 22.0, 23.0, damaged=True)
    story.ends_with({WEB: value})

    expect_invalid(story, "gone by deregistration 2")


def test_of_an_owner_that_is_gone_a_removal_that_the_core_took_stands() -> None:
    for taken in (False, True):
        story = Story(core=("b", "c"))
        value = story.register(WEB, at=10.0)
        story.deregister(WEB, at=20.0)
        story.signs("a", 2, 20.05)
        if taken:
            story.takes("b", "a", 2, 20.2)
        story.lived("a", 21.0, Life.CRASHED)
        story.ends_with({WEB: value})

        assert (judged(story).verdict is Verdict.INVALID) == taken


def test_a_node_never_shows_an_older_value_again() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    story.lookup("b", 14.0, "web", {WEB: first})

    expect_invalid(story, "b, asked at 14.000 s", "as 1 left it, after showing 2")


def test_two_nodes_may_learn_at_different_times() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    story.lookup("c", 14.0, "web", {WEB: first})
    story.lookup("c", 15.0, "web", {WEB: second})

    expect_valid(story)


def test_a_node_that_started_anew_may_know_less() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    story.restarts("b", 14.0, 15.0)
    story.lookup("b", 16.0, "web", {WEB: first})

    expect_excused(story)


def test_lookups_at_one_instant_have_no_order() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    story.lookup("b", 13.0, "web", {WEB: first})

    expect_excused(story)


def test_an_owner_that_lost_its_disk_may_make_others_step_back() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    story.restarts("a", 14.0, 15.0, damaged=True)
    story.lookup("b", 16.0, "web", {WEB: first})

    expect_excused(story)


def test_what_was_written_after_the_damage_is_not_unlearned() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    story.restarts("a", 11.0, 11.5, damaged=True)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    story.lookup("b", 16.0, "web", {WEB: first})

    expect_invalid(story, "after showing 2")


def taken_then_asked(asked_at: float) -> Story:
    story = Story()
    first = story.register(WEB, at=10.0)
    story.deregister(WEB, at=12.0)
    story.signs("a", 2, 12.05)
    story.signs("a", 3, 13.0)
    story.takes("b", "a", 3, 14.0)
    story.lookup("b", asked_at, "web", {WEB: first})
    return story


def test_a_node_shows_nothing_that_a_commit_it_took_had_removed() -> None:
    expect_invalid(taken_then_asked(15.0), "b, asked at 15.000 s", "at 14.000 s taken its")


def test_a_node_may_show_it_until_it_takes_the_commit() -> None:
    expect_excused(taken_then_asked(13.5))


def test_what_a_node_had_taken_in_another_life_does_not_bind_it() -> None:
    story = taken_then_asked(20.0)
    story.restarts("b", 15.0, 16.0)

    expect_excused(story)


def test_a_commit_signed_before_the_acknowledgement_may_not_cover_it() -> None:
    story = Story()
    first = story.register(WEB, at=10.0)
    story.deregister(WEB, at=12.0, took=1.0)
    story.signs("a", 2, 12.5)
    story.takes("b", "a", 2, 14.0)
    story.lookup("b", 15.0, "web", {WEB: first})

    expect_excused(story)


def test_an_owner_never_shows_again_what_it_removed() -> None:
    story, value = deregistered()
    story.lookup("a", 20.2, "web", {WEB: value})

    expect_invalid(story, "a, asked at 20.200 s", "shows its own a/web/web-1")


def test_an_owner_that_crashed_still_knows_what_it_removed() -> None:
    story, value = deregistered()
    story.restarts("a", 21.0, 22.0)
    story.lookup("a", 23.0, "web", {WEB: value})

    expect_invalid(story, "shows its own")


def test_an_owner_put_back_to_an_old_disk_may_show_it_for_a_while() -> None:
    story, value = deregistered()
    story.restarts("a", 21.0, 22.0, damaged=True)
    story.lookup("a", 23.0, "web", {WEB: value})

    expect_excused(story)


def test_what_villains_show_is_not_judged() -> None:
    story, value = deregistered()
    story.history.villains = ("c",)
    story.lookup("c", 60.0, "web", {WEB: value})
    story.ends_with({WEB: value}, "c")
    story.ends_with({}, "a", "b")

    expect_valid(story)


def test_a_villain_may_unlearn() -> None:
    story = Story()
    story.history.villains = ("c",)
    first = story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("c", 13.0, "web", {WEB: second})
    story.lookup("c", 14.0, "web", {WEB: first})

    expect_excused(story)


def test_what_was_taken_before_the_owner_lost_its_disk_may_be_undone_for_a_while() -> None:
    story = taken_then_asked(20.0)
    story.restarts("a", 15.0, 16.0, damaged=True)

    expect_excused(story)


def test_a_run_that_ended_too_soon_after_healing_demands_nothing() -> None:
    story, value = deregistered()
    story.history.end_s = 54.0
    story.ends_with({WEB: value})

    expect_excused(story)
