"""A climb, or a blast, for the terminal: a table, and what came of it below.

Rules this module keeps:

1. The result stands last, where one looks when it is over.
2. Whatever came from nodes or files cannot steer the terminal.
"""

from pathlib import Path

from chaos.cli.tables import coloured, facts, plain, section, table
from chaos.reports.words import means_of
from chaos.verdict import Verdict

from .climb import Climb, Step, cells_of, columns_of
from .reach import HEADINGS, NUMBERS, Blast, Effect
from .reach import cells_of as cells_of_effect

_MARKS = {Verdict.INVALID: "broke", Verdict.UNKNOWN: "proves nothing", Verdict.VALID: "holds"}

RESULT = "RESULT"
"""Of a climb: that something broke at some rate is what was looked for."""


def text_of_climb(climb: Climb, page: Path | None = None) -> str:
    """The climb for people. `page`: where its page lies, if it has one."""
    columns = columns_of(climb)
    headings = (climb.title, "", *(one.heading for one in columns))
    rows = [(one.rate, _MARKS[one.verdict], *cells_of(climb, one)) for one in climb.steps]
    pairs = [(f"{kind} made by", means_of(kind, one)) for kind, one in climb.means.items()]
    return _text(
        f"gradual {climb.ramp}: {climb.title}, on {_where(climb)}",
        table(headings, _plain(rows), numbers=headings[2:]),
        [climb.result, *climb.signs], RESULT, page, [*pairs, ("replay", climb.replay)],
    )  # fmt: skip


def text_of_blast(blast: Blast, page: Path | None = None) -> str:
    """The blast for people. `page`: where its page lies, if it has one."""
    left_out = [(f"not tried: {way}", why) for way, why in blast.left_out.items()]
    return _text(
        f"blast: how far each failure reached, on {_where(blast)}",
        table(HEADINGS, _plain([cells_of_effect(one) for one in blast.effects]), numbers=NUMBERS),
        [blast.result], blast.verdict.name, page, [*left_out, ("replay", blast.replay)],
    )  # fmt: skip


def line_of_step(climb: Climb, step: Step) -> str:
    """One step in a line, while the climb goes on."""
    told = [
        f"{one.heading} {cell}"
        for one, cell in zip(columns_of(climb), cells_of(climb, step), strict=True)
        if cell != "–"
    ]
    because = f" because {step.reason}" if step.reason else ""
    return plain(f"{step.rate}: {_MARKS[step.verdict]}{because}; {', '.join(told)}")


def line_of_effect(effect: Effect) -> str:
    """One failure in a line, while the blast goes on."""
    seen = ", ".join(f"{node} after {at_s:.2f} s" for node, at_s in effect.noticed_s.items())
    because = f" because {effect.reason}" if effect.reason else ""
    return plain(
        f"{effect.node}, {effect.way}: {effect.verdict.value}{because}; noticed by "
        f"{seen or 'nobody'}; {effect.lookups_failed} lookups and {effect.writes_failed} writes "
        "with others failed"
    )


def _text(
    title: str,
    rows: str,
    told: list[str],
    word: str,
    page: Path | None,
    pairs: list[tuple[str, str]],
) -> str:
    if page is not None:
        pairs = [*pairs, ("page", str(page))]
    result, *more = (plain(one) for one in told)
    ending = [f"{coloured(word)}  {result}", *(f"  {one}" for one in more)]
    return "\n\n".join(
        (section(plain(title), rows), facts([(name, plain(one)) for name, one in pairs]),
         "\n".join(ending))
    )  # fmt: skip


def _where(series: Climb | Blast) -> str:
    return f"{len(series.nodes)} nodes ({series.cluster})"


def _plain(rows: list[tuple[str, ...]]) -> list[list[str]]:
    return [[plain(cell) for cell in row] for row in rows]
