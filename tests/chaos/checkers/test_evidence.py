from chaos.checkers.evidence import check
from chaos.history import Life, Proved, Signed, View
from chaos.verdict import Finding, Verdict

from .situations import END_S, LIMITS, Story, both_ways

FORK = ("d", "A", "B")


class Liars(Story):
    """Core a, b and c; the liar d showed A and B, both on one parent, 60 s in."""

    def __init__(self, *, held_s: float = 60.0) -> None:
        super().__init__(("a", "b", "c", "d"), core=("a", "b", "c"))
        self.history.villains = ("d",)
        self.signs_half("d", "A", 1, held_s - 1.0)
        self.signs_half("d", "B", 2, held_s - 1.0)
        self.takes("a", "d", 1, held_s - 0.5, commit="A")
        self.takes("b", "d", 2, held_s, commit="B")

    def signs_half(self, owner: str, commit: str, version: int, at: float) -> None:
        self.history.signed.append(Signed(at, owner, (0, version), commit, "", ("P",)))

    def proves(self, at: float, *nodes: str, fork: tuple[str, str, str] = FORK) -> None:
        owner, first, second = fork
        self.history.proved += [Proved(at, node, owner, (first, second)) for node in nodes]

    def over(self, *nodes: str, proofs: tuple[tuple[str, str, str], ...] = (FORK,)) -> None:
        for node in nodes or self.history.core:
            view = View(node, "H", "R", (), (), proofs=proofs, disputed=("d",))
            self.history.views.append(view)


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def test_a_fork_that_all_can_prove_at_once_is_well() -> None:
    story = Liars()
    story.proves(60.03, "a", "b", "c")
    story.over()

    finding = judged(story)

    assert finding.verdict is Verdict.VALID
    assert finding.figures["proved_max_s"] == 0.03


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_in_calm_all_hold_the_proof_soon_after_two_held_the_halves() -> None:
    story = Liars()
    story.proves(60.03, "a", "b")
    story.proves(60.0 + LIMITS.evidence_calm_s + 0.01, "c")
    story.over()

    expect_invalid(story, "c holds no proof of the fork of d", "60.000 s")


def test_where_links_or_nodes_are_somewhat_slow_it_may_take_longer() -> None:
    for late_s, verdict in ((0.4, Verdict.VALID), (0.6, Verdict.INVALID)):
        story = Liars()
        story.links(57.0, late=True)
        story.links(58.0)
        story.proves(60.03, "a", "b")
        story.proves(60.0 + late_s, "c")
        story.over()

        assert judged(story).verdict is verdict


def test_a_half_that_nobody_of_the_core_took_is_not_waited_for() -> None:
    story = Liars()
    story.history.accepted.pop()
    story.over(proofs=())

    assert judged(story).verdict is Verdict.VALID


def test_a_half_that_was_forgotten_before_another_took_the_other_is_not_waited_for() -> None:
    for forgotten_s, verdict in ((59.9, Verdict.VALID), (60.1, Verdict.INVALID)):
        story = Liars()
        story.history.signed.append(Signed(59.0, "d", (0, 3), "M", "", ("Q", "A")))
        story.takes("a", "d", 3, forgotten_s, commit="M")
        story.over(proofs=())

        assert judged(story).verdict is verdict


def test_a_half_that_is_a_step_of_what_a_node_holds_still_counts() -> None:
    story = Liars()
    story.history.signed.append(Signed(59.0, "d", (0, 3), "A2", "", ("A",)))
    story.history.signed.append(Signed(59.0, "d", (0, 4), "A3", "", ("A2",)))
    story.takes("a", "d", 4, 59.9, commit="A3")
    story.over(proofs=())

    expect_invalid(story, "no proof of the fork of d, A against B", "60.000 s")


def test_who_took_the_one_half_in_place_of_the_other_could_compare_them() -> None:
    story = Liars()
    story.history.accepted.pop()
    story.takes("a", "d", 2, 60.0, commit="B")
    story.over(proofs=())

    expect_invalid(story, "no proof of the fork of d, A against B", "60.000 s")


def test_no_time_is_judged_amid_or_soon_after_cuts_losses_and_crashes() -> None:
    for trouble in ("cut", "healed", "loss", "crash"):
        story = Liars()
        if trouble == "cut":
            story.links(58.0, both_ways("a", "c"))
        elif trouble == "healed":
            story.links(58.0, both_ways("a", "c"))
            story.links(59.9)
        elif trouble == "loss":
            story.links(10.0, loss=0.01)
        else:
            story.restarts("c", 59.9, 60.2)
        story.proves(62.0, "a", "b", "c")
        story.over()

        assert judged(story).verdict is Verdict.VALID, trouble


def test_at_the_end_nobody_of_the_core_lacks_the_proof_also_after_cuts() -> None:
    story = Liars(held_s=40.0)
    story.links(30.0, both_ways("ab", "c"))
    story.links(50.0)
    story.proves(40.1, "a", "b")
    story.over("a", "b")
    story.over("c", proofs=())

    expect_invalid(story, "a and c, at the end, keep different proofs: only a one of d A B")


def test_at_the_end_all_without_a_proof_are_wrong_too() -> None:
    story = Liars(held_s=40.0)
    story.links(30.0, both_ways("ab", "c"))
    story.links(50.0)
    story.over(proofs=())

    expect_invalid(story, "a, at the end, keeps no proof of the fork of d")


def test_a_fork_shown_too_late_to_spread_is_excused() -> None:
    story = Liars(held_s=END_S - 0.01)
    story.over(proofs=())

    assert judged(story).verdict is Verdict.VALID


def test_where_datagrams_were_lost_one_proof_against_a_liar_is_enough() -> None:
    story = Liars()
    story.links(1.0, loss=0.1)
    story.proves(60.0, "a", "b", "c")
    story.over("a", "b", proofs=(FORK, ("b", "E", "F")))
    story.over("c", proofs=(("d", "C", "D"),))
    assert judged(story).verdict is Verdict.VALID

    story.history.views.pop()
    story.over("c", proofs=(("b", "E", "F"),))

    expect_invalid(story, "a and c, at the end, keep different proofs: only a one of d")


def test_a_proof_that_came_too_late_to_spread_may_be_kept_by_some() -> None:
    story = Liars()
    story.proves(60.0, "a", "b", "c")
    story.signs_half("d", "C", 3, END_S - 1.0)
    story.over("a", "b")
    story.over("c", proofs=(FORK, ("d", "B", "C")))

    assert judged(story).verdict is Verdict.VALID


def test_an_honest_owner_of_the_core_is_not_in_dispute_at_the_end() -> None:
    story = Liars()
    story.proves(60.0, "a", "b", "c")
    story.over("a", "b")
    view = View("c", "H", "R", (), (), proofs=(FORK,), disputed=("a", "d"))
    story.history.views.append(view)

    expect_invalid(story, "c, at the end, takes a for disputed")


def test_an_honest_owner_that_is_gone_may_stay_in_dispute() -> None:
    story = Liars()
    story.history.core = ("a", "b")
    story.proves(60.0, "a", "b")
    story.lived("c", 70.0, Life.CRASHED)
    for node in ("a", "b"):
        view = View(node, "H", "R", (), (), proofs=(FORK,), disputed=("c", "d"))
        story.history.views.append(view)

    assert judged(story).verdict is Verdict.VALID


def test_a_proof_with_a_commit_that_its_owner_never_signed_is_none() -> None:
    story = Liars()
    story.proves(60.0, "a", "b", "c")
    story.proves(61.0, "a", fork=("b", "A", "B"))

    expect_invalid(story, "a at 61.000 s holds a proof against b", "never signed")


def test_a_proof_of_two_commits_that_follow_each_other_is_none() -> None:
    story = Liars()
    story.proves(60.0, "a", "b", "c")
    story.history.signed.append(Signed(61.0, "d", (0, 3), "C", "", ("A",)))
    story.proves(62.0, "a", fork=("d", "A", "C"))

    expect_invalid(story, "of two commits that can both stand")


def test_two_commits_of_one_version_fork_whatever_their_parents() -> None:
    story = Liars()
    story.history.signed.append(Signed(59.0, "d", (0, 1), "C", "", ("Q",)))
    story.proves(60.0, "a", "b", "c")
    story.proves(62.0, "a", fork=("d", "A", "C"))
    story.over(proofs=(FORK, ("d", "A", "C")))

    assert judged(story).verdict is Verdict.VALID


def test_what_a_villain_claims_is_not_judged() -> None:
    story = Liars()
    story.proves(60.0, "a", "b", "c")
    story.proves(61.0, "d", fork=("b", "X", "Y"))
    story.over()

    assert judged(story).verdict is Verdict.VALID
