from chaos.checkers.bounded import check
from chaos.history import TableSize
from chaos.verdict import Verdict

from .situations import LIMITS, Story


def with_size(size: int) -> Story:
    story = Story()
    story.history.tables = [TableSize(10.0, "a", "members_count", size, 100)]
    return story


def test_at_its_limit_a_table_is_well() -> None:
    finding = check(with_size(100).history, LIMITS)

    assert finding.verdict is Verdict.VALID
    assert finding.figures == {"most_members_count": 100.0}


def test_one_over_its_limit_is_named() -> None:
    finding = check(with_size(101).history, LIMITS)

    assert finding.verdict is Verdict.INVALID
    assert finding.witness == "a at 10.000 s: members_count is 101, over its limit of 100"


def test_nothing_measured_is_unknown() -> None:
    assert check(Story().history, LIMITS).verdict is Verdict.UNKNOWN


def test_what_villains_keep_is_not_judged() -> None:
    story = with_size(101)
    story.history.villains = ("a",)

    assert check(story.history, LIMITS).verdict is Verdict.UNKNOWN
