import math

from chaos.checkers.reports import check
from chaos.history import Accepted, Diverged, Life, Reported, Signed
from chaos.verdict import Finding, Verdict

from .situations import LIMITS, Story, both_ways

CUT_S, MENDED_S = 30.0, 40.0
WEB, API = "service web/1", "service api/1"


class Split(Story):
    """a and b apart from c and d from 30 s to 40 s; each version of an owner sets one record."""

    def __init__(self, *, mended_s: float = MENDED_S, apart: str = "cd") -> None:
        super().__init__(("a", "b", "c", "d"))
        self.history.joined = True
        self.links(0.0)
        self.links(CUT_S, both_ways("ab", apart))
        self.links(mended_s)
        for owner in "abcd":
            self.sets(owner, 1, 0.0)

    def sets(self, owner: str, version: int, at: float, *changes: tuple[str, str]) -> None:
        """An owner signs a commit upon its newest; nobody has taken it yet."""
        parents = tuple(one.commit for one in self.history.signed if one.owner == owner)[-1:]
        self.builds(owner, version, at, parents, *changes)

    def builds(
        self, owner: str, version: int, at: float, parents: tuple[str, ...],
        *changes: tuple[str, str],
    ) -> None:  # fmt: skip
        """An owner signs a commit upon these."""
        commit = f"{owner}{version}"
        signed = Signed(at, owner, (0, version), commit, "", parents, changes)
        self.history.signed.append(signed)

    def taken(self, owner: str, version: int, at: float, *nodes: str) -> None:
        for node in nodes:
            self.history.accepted.append(
                Accepted(at, node, owner, (0, version), f"{owner}{version}", "")
            )

    def writes(
        self, owner: str, version: int, at: float, to: str, *changes: tuple[str, str]
    ) -> None:
        """An owner signs a commit, and some take it at once."""
        self.sets(owner, version, at, *changes)
        self.taken(owner, version, at, *to)

    def tells(
        self,
        nodes: str,
        *named: Diverged,
        began: float = 32.0,
        over: float = 42.0,
        exact: bool = True,
        away: str = "",
        left: int = 0,
    ) -> None:
        """These report that the records diverged, each with its owner's side."""
        for node in nodes:
            ours = "ab" if node in "ab" else "cd"
            others = tuple(away or ("cd" if ours == "ab" else "ab"))
            diverged = tuple(
                Diverged(one.owner, one.record, one.became, (one.owner in ours) == one.here)
                for one in named
            )
            self.history.reports.append(Reported(node, began, over, exact, others, diverged, left))


def named(owner: str, record: str, became: str, *, right_side: bool = True) -> Diverged:
    return Diverged(owner, record, became, right_side)


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def diverging() -> Split:
    """Before the cut a sets web; in it a sets web anew, and c adds api."""
    story = Split()
    story.writes("a", 2, 20.0, "abcd", (WEB, "v1"))
    story.writes("a", 3, 31.0, "ab", (WEB, "v2"))
    story.writes("c", 2, 35.0, "cd", (API, "v1"))
    return story


BOTH = (named("a", WEB, "changed"), named("c", API, "added"))


def test_reports_that_name_what_the_sides_held_differently_are_well() -> None:
    story = diverging()
    story.tells("abcd", *BOTH)

    finding = judged(story)

    assert finding.verdict is Verdict.VALID
    assert finding.looked_at == 4
    assert finding.figures == {"exact_count": 4.0, "named_count": 8.0}


def test_nothing_observed_is_unknown() -> None:
    assert judged(Story()).verdict is Verdict.UNKNOWN


def test_a_record_that_diverged_and_is_not_named_is_missed() -> None:
    story = diverging()
    story.tells("abc", *BOTH)
    story.tells("d", BOTH[1])

    expect_invalid(story, "d, in its report of the cut from 30.000 s", "does not name", WEB, "of a")


def test_what_was_put_back_or_came_and_went_did_not_diverge() -> None:
    story = diverging()
    story.writes("a", 4, 33.0, "ab", (WEB, "v1"))
    story.writes("c", 3, 36.0, "cd", (API, ""))
    story.tells("abcd")
    assert judged(story).verdict is Verdict.VALID

    story.history.reports.pop()
    story.tells("d", BOTH[1])

    expect_invalid(story, "d, in its report of the cut", f"names {API} of c, which both sides")


def test_a_change_that_all_had_before_the_cut_is_not_to_be_named() -> None:
    story = diverging()
    story.writes("b", 2, 25.0, "abcd", (API, "v1"))
    story.tells("abcd", *BOTH, named("b", API, "added"))

    expect_invalid(story, f"names {API} of b, which both sides had alike")


def test_a_report_says_what_became_of_a_record_all_in_all() -> None:
    story = diverging()
    story.writes("a", 4, 33.0, "ab", (WEB, ""))
    story.tells("abc", named("a", WEB, "removed"), BOTH[1])
    story.tells("d", *BOTH)

    expect_invalid(story, f"says that {WEB} of a was changed, and it was removed")


def test_a_report_says_on_which_side_the_owner_was() -> None:
    story = diverging()
    story.tells("abc", *BOTH)
    story.tells("d", BOTH[0], named("c", API, "added", right_side=False))

    expect_invalid(story, f"names {API} of c as of the wrong side")


def test_whoever_was_cut_off_for_long_has_a_report_of_it() -> None:
    story = diverging()
    story.tells("abc", *BOTH)

    expect_invalid(story, "d has no report of the cut from 30.000 s to 40.000 s")


def test_a_short_cut_may_be_noticed_by_nobody() -> None:
    story = Split(mended_s=33.0)
    story.tells("a")

    assert judged(story).verdict is Verdict.VALID


def test_where_one_of_a_side_lagged_behind_at_the_end_either_is_right() -> None:
    for nodes in ("abcd", ""):
        story = diverging()
        story.taken("a", 3, 30.01, "d")  # it was on its way when the links were cut
        story.tells("abcd", *(BOTH if nodes else BOTH[1:]))

        assert judged(story).verdict is Verdict.VALID


def test_what_was_written_before_the_report_was_concluded_may_be_named_or_not() -> None:
    for records in (BOTH, (*BOTH, named("b", API, "added"))):
        story = diverging()
        story.writes("b", 2, 41.0, "abcd", (API, "v1"))
        story.tells("abcd", *records)

        assert judged(story).verdict is Verdict.VALID


def test_records_that_are_only_counted_need_not_be_named() -> None:
    story = diverging()
    story.tells("abcd", left=2)

    assert judged(story).verdict is Verdict.VALID


def test_a_report_that_does_not_say_that_it_is_exact_is_not_judged() -> None:
    story = diverging()
    story.tells("abcd", exact=False)

    finding = judged(story)

    assert finding.verdict is Verdict.UNKNOWN
    assert finding.figures == {"inexact_count": 4.0}


def test_neither_are_those_that_are_open_or_of_other_things_than_the_cut() -> None:
    story = diverging()
    story.tells("a", over=math.inf)
    story.tells("b", away="acd")  # it lost sight of one of its own side too
    story.tells("c", away="")
    story.history.reports[-1:] = [Reported("c", 32.0, 42.0, exact=True, away=(), diverged=())]
    story.tells("d", began=25.0, over=29.0)  # and so has none of this cut

    finding = judged(story)

    assert "d has no report" in finding.witness
    assert finding.looked_at == 1


def test_who_cannot_have_a_report_of_its_own_of_the_cut_needs_none() -> None:
    restarted, away_before = diverging(), diverging()
    restarted.tells("abc", *BOTH)
    restarted.lived("d", 50.0, Life.CRASHED)
    away_before.tells("abc", *BOTH)
    away_before.tells("d", began=25.0)

    for story in (restarted, away_before):
        assert judged(story).verdict is Verdict.VALID


def test_nothing_is_judged_where_more_went_wrong_than_the_cut() -> None:
    for trouble in ("start", "pause", "damage", "loss", "hard", "cut before", "cut soon after"):
        story = diverging()
        if trouble == "start":
            story.lived("a", 25.0, Life.STARTED)
        elif trouble == "pause":
            story.lived("a", 41.0, Life.PAUSED)
        elif trouble == "damage":
            story.lived("a", 35.0, Life.DAMAGED)
        elif trouble == "loss":
            story.links(24.0, loss=LIMITS.light_loss_max + 0.01)
        elif trouble == "hard":
            story.links(24.0, hard=True)
        elif trouble == "cut before":
            story.links(22.0, both_ways("a", "b"))
            story.links(23.0)
        else:
            story.links(41.0, both_ways("a", "b"))
        story.tells("abcd")

        assert judged(story).verdict is Verdict.UNKNOWN, trouble


def test_a_cut_that_is_no_plain_split_is_not_judged() -> None:
    one_way = Split()
    one_way.history.links[1:] = []
    one_way.links(CUT_S, both_ways("ab", "cd")[1:])
    one_way.links(MENDED_S)
    one_way.tells("abcd", named("a", WEB, "added"))
    by_turns = Split()
    by_turns.links(MENDED_S + 1.0)
    by_turns.history.links[2] = by_turns.history.links[1]
    by_turns.history.links.insert(2, one_way.history.links[1])
    by_turns.tells("abcd", named("a", WEB, "added"))

    assert judged(one_way).verdict is Verdict.UNKNOWN
    assert judged(by_turns).verdict is Verdict.UNKNOWN


def test_no_history_with_villains_is_judged() -> None:
    story = diverging()
    story.history.villains = ("d",)
    story.tells("abc")

    assert judged(story).verdict is Verdict.UNKNOWN


def test_an_owner_of_whom_it_is_not_known_what_changed_is_left_out() -> None:
    story = diverging()
    story.history.signed.append(Signed(32.0, "a", (0, 4), "a4", ""))
    story.tells("abcd", BOTH[1])

    assert judged(story).verdict is Verdict.VALID


def test_where_nodes_join_by_seeds_what_a_node_never_took_is_not_known() -> None:
    story = diverging()
    story.history.joined = False
    story.tells("abcd", named("a", WEB, "changed"))

    assert judged(story).verdict is Verdict.VALID


def test_what_an_owner_signed_and_forgot_is_part_of_no_later_state() -> None:
    story = Split()
    story.writes("a", 2, 10.0, "abcd", (API, "v1"))
    story.writes("a", 3, 11.0, "a", (WEB, "v1"))  # its disk forgets this, and nobody else has it
    story.builds("a", 4, 12.0, ("a2",))
    story.taken("a", 4, 12.0, *"abcd")
    story.writes("a", 5, 35.0, "ab", (WEB, "v2"))
    story.tells("abcd", named("a", WEB, "added"))
    assert judged(story).verdict is Verdict.VALID

    story.tells("d", named("a", WEB, "changed"))

    expect_invalid(story, f"says that {WEB} of a was changed, and it was added")


def test_a_merge_builds_on_the_first_of_its_parents() -> None:
    story = Split()
    story.writes("a", 2, 10.0, "abcd", (WEB, "v1"))
    story.builds("a", 3, 11.0, ("a1",), (API, "v1"))
    story.builds("a", 4, 12.0, ("a2", "a3"), (API, "v2"))
    story.taken("a", 4, 12.0, *"abcd")
    story.writes("a", 5, 35.0, "ab", (WEB, ""), (API, ""))
    story.tells("abcd", named("a", WEB, "removed"), named("a", API, "removed"))
    assert judged(story).verdict is Verdict.VALID

    story.tells("d", named("a", WEB, "removed"))

    expect_invalid(story, f"does not name {API} of a, which was removed")
