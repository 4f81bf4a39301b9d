from dataclasses import replace

from chaos.checkers.authenticity import check
from chaos.verdict import Finding, Verdict

from .situations import LIMITS, Story


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def expect_valid(story: Story) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.VALID, finding.witness


def signed_twice() -> Story:
    story = Story()
    story.signs("a", 1, 10.0)
    story.signs("a", 2, 11.0)
    return story


def test_what_was_signed_and_taken_in_order_is_well() -> None:
    story = signed_twice()
    story.takes("b", "a", 1, 10.1)
    story.takes("b", "a", 2, 11.1)
    story.takes("c", "a", 2, 11.1)

    expect_valid(story)


def test_nothing_taken_is_unknown() -> None:
    assert judged(signed_twice()).verdict is Verdict.UNKNOWN


def test_a_commit_that_its_owner_never_signed_is_forged() -> None:
    story = signed_twice()
    story.takes("b", "a", 3, 12.0)

    expect_invalid(story, "b took a3 as the head of a at 12.000 s", "a never signed")


def test_a_commit_that_another_signed_is_forged() -> None:
    story = signed_twice()
    story.takes("b", "c", 2, 12.0, commit="a2")

    expect_invalid(story, "as the head of c", "c never signed")


def test_nothing_is_taken_before_it_was_signed() -> None:
    story = signed_twice()
    story.takes("b", "a", 2, 10.5)

    expect_invalid(story, "not signed before 11.000 s")


def test_a_version_is_the_one_that_was_signed() -> None:
    story = signed_twice()
    story.takes("b", "a", 7, 12.0, commit="a2")

    expect_invalid(story, "as version (0, 7), signed as (0, 2)")


def test_records_are_those_of_the_commit() -> None:
    story = signed_twice()
    story.takes("b", "a", 2, 12.0, records="others")

    expect_invalid(story, "with records others")


def test_records_that_nobody_hashed_are_not_compared() -> None:
    story = signed_twice()
    story.history.signed = [replace(one, records="") for one in story.history.signed]
    story.takes("b", "a", 2, 12.0, records="others")

    expect_valid(story)


def test_an_older_commit_is_not_taken_again() -> None:
    story = signed_twice()
    story.takes("b", "a", 2, 11.1)
    story.takes("b", "a", 1, 12.0)

    expect_invalid(story, "b at 12.000 s took version (0, 1) of a, though it had (0, 2)")


def test_a_replay_changes_nothing() -> None:
    story = signed_twice()
    story.takes("b", "a", 2, 11.1)
    story.takes("b", "a", 2, 12.0)

    expect_invalid(story, "though it had (0, 2) since 11.100 s")


def test_several_steps_at_one_moment_are_one() -> None:
    story = signed_twice()
    story.takes("b", "a", 2, 11.1)
    story.takes("b", "a", 2, 11.1)

    expect_valid(story)


def test_a_node_that_started_anew_may_begin_with_less() -> None:
    story = signed_twice()
    story.takes("b", "a", 2, 11.1)
    story.restarts("b", 12.0, 13.0)
    story.takes("b", "a", 1, 14.0)

    expect_valid(story)


def test_a_node_may_step_back_on_its_own_branch_to_merge() -> None:
    story = signed_twice()
    story.takes("a", "a", 2, 11.1)
    story.takes("a", "a", 1, 12.0)

    expect_valid(story)


def test_of_two_branches_under_one_version_the_other_may_be_taken() -> None:
    story = signed_twice()
    story.signs("a", 2, 11.5, commit="fork")
    story.takes("b", "a", 2, 11.6)
    story.takes("b", "a", 2, 12.0, commit="fork")

    expect_valid(story)


def test_villains_may_go_back_but_nobody_signs_for_them() -> None:
    story = signed_twice()
    story.history.villains = ("a",)
    story.takes("b", "a", 2, 11.1)
    story.takes("b", "a", 1, 12.0)
    expect_valid(story)

    story.takes("b", "a", 9, 13.0)
    expect_invalid(story, "a never signed")


def test_what_villains_take_is_not_judged() -> None:
    story = signed_twice()
    story.history.villains = ("b",)
    story.takes("c", "a", 1, 10.1)
    story.takes("b", "a", 9, 12.0)

    expect_valid(story)


def test_strangers_are_judged_by_order_alone() -> None:
    story = signed_twice()
    story.takes("b", "stranger", 5, 12.0)
    expect_valid(story)

    story.takes("b", "stranger", 4, 13.0)
    expect_invalid(story, "of stranger")
