from chaos.checkers.rotation import check
from chaos.history import Accepted, Belief, Deceived, Rekeyed, Signed, Standing, Theft, View, Ware
from chaos.verdict import Finding, Verdict

from .situations import END_S, HEAL_S, LIMITS, Story

ROTATED_S = 60.0
GOOD = Standing("a", 1, "A2", "records A2")
OLD = Standing("a", 0, "A1", "records A1")


class Rotations(Story):
    """Core a, b and c; d has the old key of a, which goes on with another at second 60."""

    def __init__(self, *, at_s: float = ROTATED_S) -> None:
        super().__init__(("a", "b", "c", "d"), core=("a", "b", "c"))
        self.history.villains = ("d",)
        self.history.thefts.append(Theft(at_s - 2.0, "a", 0))
        self.history.signed += [
            Signed(10.0, "a", (0, 1), "A1", "records A1"),
            Signed(at_s, "a", (1, 2), "A2", "records A2"),
        ]
        self.learns("a", at_s)

    def learns(self, node: str, at: float, epoch: int = 1) -> None:
        self.history.rekeyed.append(Rekeyed(at, node, "a", epoch))

    def accepts(self, node: str, epoch: int, at: float, commit: str = "X") -> None:
        self.history.accepted.append(Accepted(at, node, "a", (epoch, 3), commit, ""))

    def deceives(self, node: str, ware: Ware, at: float) -> None:
        self.history.deceived.append(Deceived(at, node, "a", 0, ware))

    def over(
        self,
        standing: Standing | None = GOOD,
        *,
        nodes: tuple[str, ...] = (),
        disputed: tuple[str, ...] = (),
        belief: Belief = Belief.ALIVE,
    ) -> None:
        for node in nodes or self.history.core:
            view = View(
                node, "H", "R", (), (("a", belief),), disputed=disputed,
                standings=() if standing is None else (standing,),
            )  # fmt: skip
            self.history.views.append(view)


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def expect_valid(story: Story) -> None:
    assert judged(story).verdict is Verdict.VALID


def test_a_rotation_that_all_heard_is_well_and_measured() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.learns("c", 60.3)
    story.accepts("b", 1, 60.2)
    story.over()

    finding = judged(story)

    assert finding.verdict is Verdict.VALID
    assert finding.figures["known_max_s"] == 0.3
    assert finding.figures["deceived_count"] == 0.0


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_a_commit_of_an_epoch_before_the_one_that_is_known_is_blamed() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.accepts("b", 0, 60.2)

    expect_invalid(story, "b took X as the head of a at 60.200 s", "epoch 0", "epoch 1")


def test_a_commit_tells_of_its_epoch_too() -> None:
    story = Rotations()
    story.accepts("b", 1, 60.1)
    story.accepts("b", 0, 60.2)

    expect_invalid(story, "b took X as the head of a at 60.200 s")


def test_what_a_node_took_before_it_knew_is_excused() -> None:
    story = Rotations()
    story.accepts("b", 0, 61.0)
    story.deceives("b", Ware.STATEMENT, 61.0)
    story.deceives("b", Ware.DATAGRAM, 61.0)
    story.learns("b", 61.5)
    story.over()

    expect_valid(story)


def test_what_was_known_in_an_earlier_life_has_to_be_said_again() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.restarts("b", 62.0, 63.0, damaged=True)
    story.accepts("b", 0, 64.0)
    story.over()

    expect_valid(story)

    story.learns("b", 63.0)
    expect_invalid(story, "b took X as the head of a at 64.000 s")


def test_a_node_may_step_back_on_its_own_branch() -> None:
    story = Rotations()
    story.accepts("a", 0, 61.0)
    story.over()

    expect_valid(story)


def test_a_statement_of_a_thief_must_not_count_once_the_next_key_is_known() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.deceives("b", Ware.STATEMENT, 60.2 + LIMITS.statement_noted_s)

    expect_invalid(story, "b at 61.200 s took a signed vote or ack of a thief for a's")


def test_a_statement_may_be_noted_a_little_late() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.deceives("b", Ware.STATEMENT, 60.1 + LIMITS.statement_noted_s)
    story.over()

    expect_valid(story)


def test_datagrams_pass_for_as_long_as_a_replaced_key_does_and_no_longer() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.deceives("b", Ware.DATAGRAM, 60.0 + LIMITS.replaced_key_s)
    story.over()

    expect_valid(story)

    story.deceives("b", Ware.DATAGRAM, 60.2 + LIMITS.replaced_key_s)
    expect_invalid(story, "b at 70.700 s took a datagram of a thief for a's")


def test_the_time_for_datagrams_begins_anew_in_a_life_that_has_to_learn_again() -> None:
    story = Rotations()
    story.learns("b", 60.1)
    story.restarts("b", 70.0, 71.0, damaged=True)
    story.learns("b", 71.5)
    story.deceives("b", Ware.DATAGRAM, 73.0)
    story.over()

    expect_valid(story)


def test_what_a_villain_takes_is_its_own_affair() -> None:
    story = Rotations()
    story.learns("d", 60.1)
    story.accepts("d", 0, 61.0)
    story.deceives("d", Ware.STATEMENT, 70.0)
    story.over()

    expect_valid(story)


def test_who_does_not_know_the_newest_key_at_the_end_is_blamed() -> None:
    story = Rotations()
    story.over(nodes=("a", "b"))
    story.over(OLD, nodes=("c",))

    expect_invalid(story, "c, at the end, holds epoch 0 of a, not epoch 1")


def test_who_holds_nothing_of_an_owner_that_rotated_is_blamed() -> None:
    story = Rotations()
    story.over(None)

    expect_invalid(story, "holds nothing of a")


def test_at_the_end_a_node_holds_a_state_that_the_owner_signed() -> None:
    for wrong in (Standing("a", 1, "T", ""), Standing("a", 1, "A2", "records of a thief")):
        story = Rotations()
        story.over(wrong)

        expect_invalid(story, "holds what a never signed")


def test_a_rotation_too_late_to_be_heard_is_not_waited_for() -> None:
    story = Rotations(at_s=END_S - LIMITS.registration_visible_s + 0.1)
    story.over(OLD)

    assert judged(story).verdict is not Verdict.INVALID


def test_nothing_is_demanded_so_soon_after_healing() -> None:
    story = Rotations()
    story.history.heal_at_s = END_S - LIMITS.registration_visible_s + 0.1
    story.over(OLD)

    assert judged(story).verdict is not Verdict.INVALID


def test_an_owner_outside_the_core_may_have_gone_before_all_heard() -> None:
    story = Rotations()
    story.history.core = ("b", "c")
    story.over(OLD, disputed=("a",))

    assert judged(story).verdict is not Verdict.INVALID


def test_a_thief_leaves_nobody_disputed_or_dead() -> None:
    story = Rotations()
    story.over(disputed=("a",))
    expect_invalid(story, "a, whose key was stolen, in dispute")

    story = Rotations()
    story.over(belief=Belief.DEAD)
    expect_invalid(story, "a, whose key was stolen, for dead")


def test_a_stolen_key_that_is_not_replaced_promises_nothing() -> None:
    story = Rotations()
    story.history.rekeyed.clear()
    story.history.views.clear()
    story.over(disputed=("a",))

    assert judged(story).verdict is not Verdict.INVALID


def test_the_healing_comes_before_the_rotation_in_these_stories() -> None:
    assert HEAL_S < ROTATED_S < END_S
