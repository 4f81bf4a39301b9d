"""A climb, or a blast, as one JSON document, and back; beside its page.

Rules this module keeps:

1. The same as in `chaos.reports.document`: it says its format, and is read field by field.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from chaos.cli.report import Json
from chaos.reports.reading import Fields, UnreadableRecordError, read_within

from .climb import Climb, Step
from .reach import Blast, Effect

FORMAT = 1
SERIES = "series.json"
"""The file's name in the directory that holds the runs."""
GRADUAL, BLAST = "gradual", "blast"
BYTES_MAX = 4 * 1024 * 1024

Series = Climb | Blast


def document_of(series: Series) -> dict[str, Json]:
    """For programs: plain values, fixed names, times in seconds."""
    kind = GRADUAL if isinstance(series, Climb) else BLAST
    head: dict[str, Json] = {
        "format": FORMAT, "series": kind, "verdict": series.verdict.value,
        "result": series.result, "about": series.about, "cluster": series.cluster,
        "nodes": list(series.nodes), "seed": series.seed, "started_at": series.started_at,
        "commit": series.commit, "replay": series.replay, "interrupted": series.interrupted,
    }  # fmt: skip
    return head | (_climb(series) if isinstance(series, Climb) else _blast(series))


def save(series: Series, directory: Path) -> None:
    """Write it into the directory of its runs, whole or not at all. Raises OSError."""
    path = directory / SERIES
    beside = path.with_name(path.name + ".new")
    text = json.dumps(document_of(series), indent=1, allow_nan=False) + "\n"
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def load(directory: Path) -> Series:
    """Read it from the directory of its runs.

    Raises:
        UnreadableRecordError: it cannot be read, is too large, or is none.
    """
    file = directory / SERIES
    raw = read_within(file, BYTES_MAX)
    try:
        value: Json = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError("", f"{file} is no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise UnreadableRecordError("", f"{file} is JSON, but no object")
    try:
        return _read(Fields(value))
    except UnreadableRecordError as error:
        raise UnreadableRecordError(error.field, f"{file}: {error.what}") from None


def _read(fields: Fields) -> Series:
    found = fields.whole("format")
    if found != FORMAT:
        raise fields.wrong("format", f"{found} is not {FORMAT}, the one that is read here")
    kind = fields.text("series")
    if kind == GRADUAL:
        return _read_climb(fields)
    if kind == BLAST:
        return _read_blast(fields)
    raise fields.wrong("series", f"{kind!r} is neither {GRADUAL} nor {BLAST}")


def _climb(climb: Climb) -> dict[str, Json]:
    last = climb.last
    return {
        "ramp": climb.ramp, "title": climb.title, "phrase": climb.phrase,
        "nobody_gone": climb.nobody_gone, "rates": list(climb.rates), "means": dict(climb.means),
        "borne": climb.borne, "ended_at": None if last is None else last.rate,
        "signs": [*climb.signs],
        "steps": [
            {
                "rate": one.rate, "verdict": one.verdict.value, "reason": one.reason,
                "figures": dict(one.figures), "run": one.run,
            }
            for one in climb.steps
        ],
    }  # fmt: skip


def _read_climb(fields: Fields) -> Climb:
    return Climb(
        ramp=fields.text("ramp"), title=fields.text("title"), phrase=fields.text("phrase"),
        about=fields.text("about"), nobody_gone=fields.flag("nobody_gone"),
        rates=fields.texts("rates"), cluster=fields.text("cluster"), nodes=fields.texts("nodes"),
        seed=fields.whole("seed"), started_at=fields.text("started_at"),
        commit=fields.text("commit"), replay=fields.text("replay"), means=fields.words("means"),
        steps=[
            Step(
                one.text("rate"), one.verdict("verdict"), one.text("reason"),
                one.numbers("figures"), one.text("run"),
            )
            for one in fields.tables("steps")
        ],
        interrupted=fields.flag("interrupted"),
    )  # fmt: skip


def _blast(blast: Blast) -> dict[str, Json]:
    return {
        "left_out": dict(blast.left_out), "planned": blast.planned,
        "effects": [
            {
                "node": one.node, "way": one.way, "verdict": one.verdict.value,
                "reason": one.reason, "lasted_s": one.lasted_s, "noticed_s": dict(one.noticed_s),
                "first_s": one.first_s, "last_s": one.last_s, "blind": list(one.blind),
                "itself": list(one.itself), "back_s": one.back_s,
                "lookups_failed": one.lookups_failed, "writes_failed": one.writes_failed,
                "run": one.run,
            }
            for one in blast.effects
        ],
    }  # fmt: skip


def _read_blast(fields: Fields) -> Blast:
    return Blast(
        about=fields.text("about"), cluster=fields.text("cluster"), nodes=fields.texts("nodes"),
        seed=fields.whole("seed"), started_at=fields.text("started_at"),
        commit=fields.text("commit"), replay=fields.text("replay"),
        left_out=fields.words("left_out"), planned=fields.whole("planned"),
        effects=[_read_effect(one) for one in fields.tables("effects")],
        interrupted=fields.flag("interrupted"),
    )  # fmt: skip


def _read_effect(one: Fields) -> Effect:
    return Effect(
        node=one.text("node"), way=one.text("way"), verdict=one.verdict("verdict"),
        reason=one.text("reason"), lasted_s=one.number("lasted_s"),
        noticed_s=one.numbers("noticed_s"), blind=one.texts("blind"), itself=one.texts("itself"),
        back_s=None if one.is_null("back_s") else one.number("back_s"),
        lookups_failed=one.whole("lookups_failed"), writes_failed=one.whole("writes_failed"),
        run=one.text("run"),
    )  # fmt: skip
