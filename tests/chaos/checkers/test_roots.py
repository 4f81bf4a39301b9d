from chaos.checkers.roots import check
from chaos.history import View
from chaos.verdict import Finding, Verdict

from .situations import END_S, LIMITS, Story


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def ends(story: Story, node: str, heads: str, honest: str = "", **held: str) -> None:
    pairs = tuple(sorted(held.items()))
    story.history.views.append(View(node, heads, f"root of {heads}", (), (), honest, pairs))


def test_equal_heads_with_equal_roots_are_well() -> None:
    story = Story()
    story.holds("a", 10.0, "H1")
    story.holds("b", 11.0, "H1")
    story.holds("c", 12.0, "H0")
    story.ends_with({})

    assert judged(story).verdict is Verdict.VALID


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_one_state_with_two_roots_is_wrong_at_whatever_time() -> None:
    story = Story()
    story.holds("a", 10.0, "H1", "R1")
    story.holds("b", 30.0, "H1", "R2")

    expect_invalid(story, "a at 10.000 s and b at 30.000 s held the same heads", "R1 and R2")


def test_two_states_with_one_root_are_wrong() -> None:
    story = Story()
    story.holds("a", 10.0, "H1", "R1")
    story.holds("b", 30.0, "H2", "R1")

    expect_invalid(story, "said the root R1, with different heads")


def test_what_villains_say_is_not_judged() -> None:
    story = Story(core=("a", "b"))
    story.history.villains = ("c",)
    story.holds("a", 10.0, "H1", "R1")
    story.holds("c", 30.0, "H1", "R2")

    assert judged(story).verdict is Verdict.VALID


def test_the_core_holds_the_same_at_the_end() -> None:
    story = Story()
    story.ends_with({}, "a", "b", heads="H1")
    story.ends_with({}, "c", heads="H2")

    expect_invalid(story, "a and c, at the end, hold different heads")


def test_a_node_of_the_core_that_shows_nothing_is_named() -> None:
    story = Story()
    story.ends_with({}, "a", "b")

    expect_invalid(story, "c is of the core and shows nothing")


def test_the_owner_whose_heads_differ_is_named() -> None:
    story = Story()
    for node, head in (("a", "h1"), ("b", "h1"), ("c", "h2")):
        ends(story, node, f"H {head}", a="x", b=head)

    expect_invalid(story, "a and c", "different heads of b: h1 and h2")


def test_heads_of_villains_may_differ() -> None:
    story = Story(core=("a", "b"))
    story.history.villains = ("c",)
    ends(story, "a", "H1", "honest", a="x", c="h1")
    ends(story, "b", "H2", "honest", a="x", c="h2")

    assert judged(story).verdict is Verdict.VALID


def test_heads_of_the_honest_must_not_differ_among_villains() -> None:
    story = Story(core=("a", "b"))
    story.history.villains = ("c",)
    ends(story, "a", "H1", "honest 1")
    ends(story, "b", "H2", "honest 2")

    expect_invalid(story, "a and b, at the end, hold different heads")


def test_an_owner_that_forked_and_went_leaves_two_heads() -> None:
    for damaged in (False, True):
        story = Story(core=("a", "b"))
        story.restarts("c", 10.0, 11.0, damaged=damaged)
        ends(story, "a", "H1", "1", c="h1")
        ends(story, "b", "H2", "2", c="h2")

        assert (judged(story).verdict is Verdict.VALID) == damaged


def test_the_time_of_convergence_is_the_last_one() -> None:
    story = Story()
    for at, heads in ((49.0, "aaa"), (51.0, "aab"), (52.0, "bbb"), (53.0, "bcb"), (54.0, "ccc")):
        for node, held in zip("abc", heads, strict=True):
            story.holds(node, at, held)
    for node in "abc":
        story.holds(node, END_S - 1, "c")

    assert judged(story).figures["converged_after_heal_s"] == 4.0


def test_a_core_that_never_agrees_has_no_time_of_convergence() -> None:
    story = Story()
    for node in "abc":
        story.holds(node, 60.0, node)

    assert "converged_after_heal_s" not in judged(story).figures


def test_without_heads_by_owner_those_of_the_honest_are_compared() -> None:
    story = Story(core=("a", "b"))
    story.history.villains = ("c",)
    ends(story, "a", "H1", "honest")
    ends(story, "b", "H2", "honest")

    assert judged(story).verdict is Verdict.VALID


def test_the_owner_that_is_named_is_an_honest_one() -> None:
    story = Story(core=("b", "c"))
    story.history.villains = ("a",)
    ends(story, "b", "H1", "1", a="v1", b="h1")
    ends(story, "c", "H2", "2", a="v2", b="h2")

    expect_invalid(story, "different heads of b")


def test_an_owner_of_the_core_has_merged_whatever_became_of_its_disk() -> None:
    story = Story(core=("a", "b"))
    story.restarts("b", 10.0, 11.0, damaged=True)
    ends(story, "a", "H1", "1", b="h1")
    ends(story, "b", "H2", "2", b="h2")

    expect_invalid(story, "different heads of b")


def test_a_core_that_moves_on_at_one_moment_stays_converged() -> None:
    story = Story()
    for at, heads in ((54.0, "H1"), (60.0, "H2")):
        for node in "abc":
            story.holds(node, at, heads)

    assert judged(story).figures["converged_after_heal_s"] == 4.0
