from chaos.checkers.set_full import check
from chaos.history import Belief, Key, Life, Outcome
from chaos.verdict import Finding, Verdict

from .situations import API, LIMITS, WEB, Story


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_valid(story: Story) -> Finding:
    finding = judged(story)
    assert finding.verdict is Verdict.VALID, finding.witness
    return finding


def expect_invalid(story: Story, *words: str) -> Finding:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness
    return finding


def registered_once() -> tuple[Story, int]:
    story = Story()
    return story, story.register(WEB, at=10.0)


def test_what_everyone_shows_at_the_end_is_stable() -> None:
    story, value = registered_once()
    story.lookup("b", 11.0, "web", {})
    story.lookup("b", 60.0, "web", {WEB: value})
    story.ends_with({WEB: value})

    finding = expect_valid(story)

    assert finding.figures["acknowledged_count"] == 1
    assert finding.figures["stable_count"] == 1
    assert finding.figures["visible_max_s"] == 0.9


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_writes_that_nobody_looked_for_are_unknown() -> None:
    story, _ = registered_once()

    assert judged(story).verdict is Verdict.UNKNOWN


def test_an_acknowledged_registration_that_one_core_node_lacks_is_lost() -> None:
    story, value = registered_once()
    story.ends_with({WEB: value}, "a", "b")
    story.ends_with({}, "c")

    finding = expect_invalid(story, "c, at the end", "lacks a/web/web-1", "write 1")

    assert finding.figures["lost_count"] == 1


def test_an_older_value_at_the_end_is_a_loss() -> None:
    story, first = registered_once()
    story.update(WEB, at=12.0)
    story.ends_with({WEB: first})

    expect_invalid(story, "shows a/web/web-1 as 1 left it", "write 2")


def test_an_indefinite_update_may_or_may_not_show() -> None:
    for done in (False, True):
        story, first = registered_once()
        second = story.update(WEB, at=12.0, outcome=Outcome.INDEFINITE)
        story.ends_with({WEB: second if done else first})

        expect_valid(story)


def test_an_indefinite_deregistration_may_or_may_not_show() -> None:
    for done in (False, True):
        story, first = registered_once()
        story.deregister(WEB, at=12.0, outcome=Outcome.INDEFINITE)
        story.ends_with({} if done else {WEB: first})

        expect_valid(story)


def test_an_indefinite_write_takes_no_effect_after_its_owner_started_anew() -> None:
    story = Story()
    early = story.register(WEB, at=10.0, outcome=Outcome.INDEFINITE)
    story.restarts("a", 12.0, 13.0)
    story.register(WEB, at=20.0)
    story.ends_with({WEB: early})

    expect_invalid(story, "as 1 left it, not as write 2")


def test_an_indefinite_write_may_take_effect_late() -> None:
    story = Story()
    early = story.register(WEB, at=10.0, outcome=Outcome.INDEFINITE)
    story.register(WEB, at=20.0)
    story.ends_with({WEB: early})

    expect_valid(story)


def test_of_two_writes_at_once_either_may_stand() -> None:
    for winner in (1, 2):
        story = Story()
        story.register(WEB, at=10.0, took=2.0)
        story.register(WEB, at=11.0, took=2.0)
        story.ends_with({WEB: winner})

        expect_valid(story)


def test_a_failed_write_never_shows() -> None:
    story = Story()
    value = story.register(WEB, at=10.0, outcome=Outcome.FAILED)
    story.ends_with({WEB: value})

    expect_invalid(story, "with 1, which nobody wrote")


def test_a_key_that_nobody_wrote_never_shows() -> None:
    story = Story()
    story.lookup("c", 10.0, "web", {Key("a", "web", "web-9"): 7})

    expect_invalid(story, "a/web/web-9", "which nobody ever wrote")


def test_a_value_does_not_show_before_it_was_asked_for() -> None:
    story = Story()
    story.lookup("c", 5.0, "web", {WEB: 2})
    value = story.register(WEB, at=10.0)
    assert value == 2

    expect_invalid(story, "c, asked at 5.000 s", "with 2")


def test_what_villains_say_of_themselves_is_not_judged() -> None:
    story, _ = registered_once()
    story.history.villains = ("a",)
    story.history.core = ("b", "c")
    story.register(API, at=10.0)
    story.ends_with({API: 2, WEB: 99})

    expect_valid(story)


def test_a_lookup_long_after_healing_must_show_it() -> None:
    story, _ = registered_once()
    story.lookup("b", 56.0, "web", {})

    expect_invalid(story, "b, asked at 56.000 s (operation 2)", "lacks a/web/web-1")


def test_a_lookup_soon_after_healing_may_lack_it() -> None:
    story, value = registered_once()
    story.lookup("b", 54.0, "web", {})
    story.ends_with({WEB: value})

    expect_valid(story)


def test_a_lookup_soon_after_the_acknowledgement_may_lack_it() -> None:
    story = Story()
    value = story.register(WEB, at=60.0)
    story.lookup("b", 64.0, "web", {})
    story.ends_with({WEB: value})

    expect_valid(story)


def test_a_lookup_long_after_healing_must_not_show_it_older() -> None:
    story, first = registered_once()
    story.update(WEB, at=20.0)
    story.lookup("b", 56.0, "web", {WEB: first})

    expect_invalid(story, "b, asked at 56.000 s", "not as write 2")


def test_a_lookup_may_lack_the_key_of_an_owner_that_the_node_holds_for_away() -> None:
    story, value = registered_once()
    story.believes("b", "a", Belief.UNREACHABLE, 55.5)
    story.lookup("b", 56.0, "web", {})
    story.believes("b", "a", Belief.ALIVE, 57.0)
    story.ends_with({WEB: value})

    expect_valid(story)


def test_an_owner_shows_its_own_at_once() -> None:
    story, _ = registered_once()
    story.lookup("a", 10.5, "web", {})

    expect_invalid(story, "a, asked at 10.500 s", "lacks")


def test_an_owner_with_a_damaged_disk_need_not_show_its_own_at_once() -> None:
    story, value = registered_once()
    story.restarts("a", 11.0, 12.0, damaged=True)
    story.lookup("a", 12.5, "web", {})
    story.ends_with({WEB: value})

    expect_valid(story)


def test_what_a_crash_leaves_on_disk_is_not_excused() -> None:
    story, _ = registered_once()
    story.restarts("a", 11.0, 12.0)
    story.ends_with({})

    expect_invalid(story, "lacks")


def test_what_only_a_damaged_disk_held_may_be_lost() -> None:
    story, _ = registered_once()
    story.signs("a", 1, 10.05)
    story.restarts("a", 11.0, 12.0, damaged=True)
    story.ends_with({})

    assert judged(story).verdict is not Verdict.INVALID


def damaged_but_taken(taken_at: float = 10.5) -> Story:
    story, _ = registered_once()
    story.signs("a", 1, 10.05)
    story.takes("b", "a", 1, taken_at)
    story.restarts("a", 20.0, 21.0, damaged=True)
    story.ends_with({})
    return story


def test_what_another_had_taken_before_the_damage_is_not_lost() -> None:
    expect_invalid(damaged_but_taken(), "lacks a/web/web-1")


def test_what_was_taken_only_after_the_damage_may_be_lost() -> None:
    assert judged(damaged_but_taken(taken_at=20.5)).verdict is not Verdict.INVALID


def test_a_keeper_whose_own_disk_was_damaged_later_keeps_nothing() -> None:
    story = damaged_but_taken()
    story.restarts("b", 30.0, 31.0, damaged=True)

    assert judged(story).verdict is not Verdict.INVALID


def test_a_keeper_that_died_at_once_may_not_have_stored_it() -> None:
    story = damaged_but_taken()
    story.restarts("b", 11.0, 12.0)

    assert judged(story).verdict is not Verdict.INVALID


def test_a_keeper_outside_the_core_does_not_count() -> None:
    story = damaged_but_taken()
    story.history.core = ("a", "c")

    assert judged(story).verdict is not Verdict.INVALID


def test_an_older_commit_than_the_acknowledged_one_keeps_nothing() -> None:
    story, _ = registered_once()
    story.signs("a", 1, 9.0)
    story.signs("a", 2, 10.05)
    story.takes("b", "a", 1, 10.5)
    story.restarts("a", 20.0, 21.0, damaged=True)
    story.ends_with({})

    assert judged(story).verdict is not Verdict.INVALID


def test_what_was_written_after_the_damage_is_not_excused_by_it() -> None:
    story = Story()
    story.restarts("a", 5.0, 6.0, damaged=True)
    story.register(WEB, at=10.0)
    story.ends_with({})

    expect_invalid(story, "lacks")


def test_of_an_owner_that_is_gone_only_what_the_core_took_is_demanded() -> None:
    for taken in (False, True):
        story = Story(core=("b", "c"))
        story.register(WEB, at=10.0)
        story.signs("a", 1, 10.05)
        if taken:
            story.takes("b", "a", 1, 10.1)
        story.lived("a", 11.0, Life.CRASHED)
        story.ends_with({})

        assert (judged(story).verdict is Verdict.INVALID) == taken


def test_a_lookup_need_not_show_the_services_of_an_owner_that_is_gone() -> None:
    story = Story(core=("b", "c"))
    value = story.register(WEB, at=10.0)
    story.signs("a", 1, 10.05)
    story.takes("b", "a", 1, 10.1)
    story.lived("a", 11.0, Life.CRASHED)
    story.lookup("b", 70.0, "web", {})
    story.ends_with({WEB: value})

    expect_valid(story)


def test_of_an_owner_that_is_gone_nothing_may_show_that_it_never_wrote() -> None:
    story = Story(core=("b", "c"))
    story.register(WEB, at=10.0)
    story.lived("a", 11.0, Life.CRASHED)
    story.ends_with({WEB: 44})

    expect_invalid(story, "with 44")


def test_a_write_that_was_replaced_is_known_and_one_that_nobody_saw_was_never_read() -> None:
    story = Story()
    story.register(WEB, at=10.0)
    second = story.update(WEB, at=12.0)
    story.lookup("b", 13.0, "web", {WEB: second})
    third = story.update(WEB, at=14.0)
    story.ends_with({WEB: third})

    figures = expect_valid(story).figures

    assert figures["never_read_count"] == 1
    assert figures["known_count"] == 1
    assert figures["stable_count"] == 1


def test_a_run_that_ended_too_soon_after_healing_demands_nothing() -> None:
    story, _ = registered_once()
    story.history.end_s = 54.0
    story.ends_with({})

    assert judged(story).verdict is not Verdict.INVALID


def test_an_owner_is_no_keeper_of_its_own() -> None:
    story, _ = registered_once()
    story.signs("a", 1, 10.05)
    story.takes("a", "a", 1, 10.5)
    story.restarts("a", 20.0, 21.0, damaged=True)
    story.ends_with({})

    assert judged(story).verdict is not Verdict.INVALID


def test_a_keeper_need_not_have_what_was_signed_later() -> None:
    story = damaged_but_taken()
    story.signs("a", 2, 15.0)

    expect_invalid(story, "lacks a/web/web-1")


def test_of_an_owner_that_is_gone_and_had_lost_its_disk_nothing_is_demanded() -> None:
    story = Story(core=("b", "c"))
    story.restarts("a", 5.0, 6.0, damaged=True)
    story.register(WEB, at=10.0)
    story.signs("a", 1, 10.05)
    story.takes("b", "a", 1, 10.1)
    story.lived("a", 20.0, Life.CRASHED)
    story.ends_with({})

    assert judged(story).verdict is not Verdict.INVALID


def test_a_node_outside_the_core_need_not_show_it() -> None:
    story, value = registered_once()
    story.history.core = ("a", "b")
    story.lookup("c", 60.0, "web", {})
    story.ends_with({WEB: value})

    expect_valid(story)


def test_a_key_that_nobody_wrote_does_not_show_at_the_end() -> None:
    story, value = registered_once()
    story.ends_with({WEB: value, Key("b", "web", "web-9"): 7})

    expect_invalid(story, "at the end, shows b/web/web-9")


def test_lookups_on_villains_are_not_judged() -> None:
    story, value = registered_once()
    story.history.villains = ("c",)
    story.lookup("c", 60.0, "web", {WEB: 99})
    story.ends_with({WEB: value}, "a", "b")

    expect_valid(story)
