from chaos.checkers.documents import check
from chaos.history import DocumentState, DocumentWrite, Outcome, View
from chaos.verdict import Finding, Verdict

from .situations import END_S, LIMITS, Story

Entry = tuple[str, str, int]


class Edits(Story):
    """Writes to one document, `menu`, and what the three nodes hold of it at the end."""

    def write(
        self,
        node: str,
        counter: int,
        at: float,
        *fields: str,
        seen: dict[str, int] | None = None,
        since: int = 1,
        removes: bool = False,
        outcome: Outcome = Outcome.OK,
    ) -> None:
        number = len(self.history.document_writes) + 1
        self.history.document_writes.append(
            DocumentWrite(
                number, node, at, at + 0.1, outcome, "menu", counter, fields, removes,
                tuple((writer, ((since, upto),)) for writer, upto in sorted((seen or {}).items())),
            )
        )  # fmt: skip

    def over(self, *entries: Entry, nodes: tuple[str, ...] = ("a", "b", "c")) -> None:
        state = (DocumentState("menu", tuple(sorted(entries))),) if entries else ()
        self.history.views += [View(node, "H", "R", (), (), documents=state) for node in nodes]


def judged(story: Story) -> Finding:
    return check(story.history, LIMITS)


def expect_invalid(story: Story, *words: str) -> None:
    finding = judged(story)
    assert finding.verdict is Verdict.INVALID
    for word in words:
        assert word in finding.witness


def two_siblings() -> Edits:
    """Two nodes wrote one field, neither having seen the other."""
    story = Edits()
    story.write("a", 1, 10.0, "soup")
    story.write("b", 1, 10.0, "soup")
    return story


def test_siblings_that_all_hold_are_well() -> None:
    story = two_siblings()
    story.over(("soup", "a", 1), ("soup", "b", 1))

    finding = judged(story)

    assert finding.verdict is Verdict.VALID
    assert finding.figures == {"siblings_count": 2.0, "acknowledged_count": 2.0}


def test_nothing_written_is_unknown() -> None:
    story = Edits()
    story.over()

    assert judged(story).verdict is Verdict.UNKNOWN


def test_all_hold_the_same_siblings() -> None:
    story = two_siblings()
    story.over(("soup", "a", 1), ("soup", "b", 1), nodes=("a", "b"))
    story.over(("soup", "a", 1), nodes=("c",))

    expect_invalid(story, "a and c, at the end, hold different fields of menu")


def test_a_write_that_nobody_had_seen_is_not_lost() -> None:
    story = two_siblings()
    story.over(("soup", "b", 1))

    expect_invalid(story, "a, at the end, lacks menu.soup as write 1 through a left it")


def test_a_write_that_a_later_one_had_seen_is_replaced() -> None:
    story = two_siblings()
    story.write("c", 1, 20.0, "soup", seen={"a": 1, "b": 1})
    story.over(("soup", "c", 1))

    assert judged(story).verdict is Verdict.VALID


def test_a_write_of_another_field_covers_nothing() -> None:
    story = two_siblings()
    story.write("c", 1, 20.0, "bread", seen={"a": 1, "b": 1})
    story.over(("bread", "c", 1), ("soup", "b", 1))

    expect_invalid(story, "lacks menu.soup as write 1")


def test_what_was_replaced_or_removed_does_not_come_back() -> None:
    for removes in (False, True):
        story = two_siblings()
        story.write("c", 1, 20.0, "soup", seen={"a": 1}, removes=removes)
        shown = () if removes else (("soup", "c", 1),)
        story.over(("soup", "a", 1), ("soup", "b", 1), *shown)

        expect_invalid(
            story, "shows menu.soup as write 1 through a left it, which write 3", "cover"
        )


def test_what_a_deletion_had_not_seen_survives_it() -> None:
    story = two_siblings()
    story.write("c", 1, 20.0, seen={"a": 1}, removes=True)
    story.over(("soup", "b", 1))
    assert judged(story).verdict is Verdict.VALID

    story.history.views.clear()
    story.over()

    expect_invalid(story, "lacks menu.soup as write 2 through b")


def test_an_indefinite_write_may_have_covered_and_may_not_have() -> None:
    for shown in (("soup", "a", 1), ("soup", "c", 1)):
        story = two_siblings()
        story.write("c", 1, 20.0, "soup", seen={"a": 1}, outcome=Outcome.INDEFINITE)
        story.over(shown, ("soup", "b", 1))

        assert judged(story).verdict is Verdict.VALID


def test_a_failed_write_is_shown_by_nobody() -> None:
    story = Edits()
    story.write("a", 1, 10.0, "soup", outcome=Outcome.FAILED)
    story.over(("soup", "a", 1))

    expect_invalid(story, "write 1 through a, which failed")


def test_what_nobody_wrote_is_shown_by_nobody() -> None:
    story = two_siblings()
    story.over(("soup", "a", 1), ("soup", "b", 1), ("soup", "b", 7))

    expect_invalid(story, "shows menu.soup as b never wrote it (counter 7)")


def test_writes_too_late_to_spread_are_excused() -> None:
    story = two_siblings()
    story.write("c", 1, END_S - 1.0, "bread")
    story.over(("soup", "a", 1), ("soup", "b", 1))

    assert judged(story).verdict is Verdict.VALID


def test_what_a_writer_forgot_with_its_disk_is_excused_unless_another_had_built_on_it() -> None:
    story = two_siblings()
    story.restarts("a", 15.0, 16.0, damaged=True)
    story.write("b", 2, 20.0, "salad", seen={"a": 5}, since=4)  # of the next life of a
    story.over(("soup", "b", 1), ("salad", "b", 2))
    assert judged(story).verdict is Verdict.VALID

    story.history.document_writes.pop()
    story.write("c", 1, 12.0, "bread", seen={"a": 1})
    story.history.views.clear()
    story.over(("soup", "b", 1), ("bread", "c", 1))

    expect_invalid(story, "lacks menu.soup as write 1 through a")
