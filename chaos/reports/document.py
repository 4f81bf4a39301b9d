"""The record of a run as one JSON document, and back.

Rules this module keeps:

1. A document says its `format`; whatever is not one of ours is refused with field and reason.
2. What is written is read back the same. JSON knows no infinity: it is written as a text.
3. A document from a stranger is data: bounded in size, checked field by field.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from chaos.cli.report import Json
from chaos.running.record import (
    Coverage,
    Expected,
    Moment,
    RunRecord,
    Said,
    Sample,
    Seen,
    Span,
)
from chaos.verdict import Finding

from .reading import Fields, UnreadableRecordError, read_within

__all__ = (
    "FORMAT", "RECORD", "UnreadableRecordError", "decode", "document_of", "encode", "load", "save",
)  # fmt: skip

FORMAT = 1
"""Rises when a reader of the former would misunderstand the document."""
RECORD = "record.json"
"""The file's name in a run's directory."""
BYTES_MAX = 128 * 1024 * 1024

T = TypeVar("T")


def document_of(record: RunRecord) -> dict[str, Json]:
    """A record for programs: plain values, fixed names, times in seconds."""
    return {
        "format": FORMAT,
        "scenario": record.scenario,
        "title": record.title,
        "about": record.about,
        "cluster": record.cluster,
        "nodes": list(record.nodes),
        "seed": record.seed,
        "started_at": record.started_at,
        "commit": record.commit,
        "versions": dict(record.versions),
        "replay": record.replay,
        "source": record.source,
        "verdict": record.verdict.value,
        "reason": record.reason,
        "duration_s": _number(record.duration_s),
        "zero_mono_ns": record.zero_mono_ns,
        "spans": [_span(one) for one in record.spans],
        "said": [{"at_s": _number(one.at_s), "text": one.text} for one in record.said],
        "samples": [_sample(one) for one in record.samples],
        "samples_left_out": record.samples_left_out,
        "seen": [_seen(one) for one in record.seen],
        "coverage": [_coverage(one) for one in record.coverage],
        "findings": [_finding(one) for one in record.findings],
        "expected": [
            {"text": one.text, "verdict": one.verdict.value, "why": one.why}
            for one in record.expected
        ],
        "moments": [_moment(one) for one in record.moments],
        "figures": _numbers(record.figures),
        "logs": dict(record.logs),
        "means": dict(record.means),
    }


def encode(record: RunRecord) -> str:
    """The text of the document; ASCII, one line."""
    return json.dumps(document_of(record), separators=(",", ":"), allow_nan=False) + "\n"


def decode(text: str) -> RunRecord:
    """Read the text of a document.

    Raises:
        UnreadableRecordError: it is none, with the field and the reason.
    """
    try:
        value: Json = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError("", f"this is no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise UnreadableRecordError("", "this is JSON, but no object")
    return _record(value)


def load(path: Path) -> RunRecord:
    """Read a record from a file, or from the run's directory that holds it.

    Raises:
        UnreadableRecordError: it cannot be read, is too large, or is none.
    """
    file = path / RECORD if path.is_dir() else path
    raw = read_within(file, BYTES_MAX)
    try:
        return decode(raw.decode())
    except UnicodeDecodeError:
        raise UnreadableRecordError("", f"{file} is not UTF-8") from None
    except UnreadableRecordError as error:
        raise UnreadableRecordError(error.field, f"{file}: {error.what}") from None


def save(record: RunRecord, path: Path) -> None:
    """Write it, whole or not at all. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(encode(record), encoding="ascii")
    beside.replace(path)


def _record(document: Mapping[str, Json]) -> RunRecord:
    fields = Fields(document)
    found = document.get("format")
    if found is None:
        raise fields.wrong("format", "it is missing, so this is no record of a run")
    if isinstance(found, bool) or found != FORMAT:
        raise fields.wrong("format", f"{found!r} is not {FORMAT}, the one that is read here")
    return RunRecord(
        scenario=fields.text("scenario"),
        title=fields.text("title"),
        about=fields.text("about"),
        cluster=fields.text("cluster"),
        nodes=fields.texts("nodes"),
        seed=fields.whole("seed"),
        started_at=fields.text("started_at"),
        commit=fields.text("commit"),
        versions=fields.words("versions"),
        replay=fields.text("replay"),
        source=fields.text("source"),
        verdict=fields.verdict("verdict"),
        reason=fields.text("reason"),
        duration_s=fields.number("duration_s"),
        zero_mono_ns=fields.whole("zero_mono_ns"),
        spans=_each(fields, "spans", _read_span),
        said=_each(fields, "said", lambda one: Said(one.number("at_s"), one.text("text"))),
        samples=_each(fields, "samples", _read_sample),
        samples_left_out=fields.whole("samples_left_out"),
        seen=_each(fields, "seen", _read_seen),
        coverage=_each(fields, "coverage", _read_coverage),
        findings=_each(fields, "findings", _read_finding),
        expected=_each(fields, "expected", _read_expected),
        moments=_each(fields, "moments", _read_moment),
        figures=fields.numbers("figures"),
        logs=fields.words("logs"),
        means=fields.words("means"),
    )


def _each(fields: Fields, name: str, read: Callable[[Fields], T]) -> list[T]:
    return [read(one) for one in fields.tables(name)]


def _span(one: Span) -> dict[str, Json]:
    return {
        "kind": one.kind,
        "text": one.text,
        "nodes": list(one.nodes),
        "begin_s": _number(one.begin_s),
        "end_s": _number(one.end_s),
    }


def _read_span(one: Fields) -> Span:
    return Span(
        one.text("kind"), one.text("text"), one.texts("nodes"), one.number("begin_s"),
        one.number("end_s"),
    )  # fmt: skip


def _sample(one: Sample) -> dict[str, Json]:
    return {
        "at_s": _number(one.at_s),
        "ms": _number(one.ms),
        "node": one.node,
        "action": one.action,
        "outcome": one.outcome,
        "why": one.why,
    }


def _read_sample(one: Fields) -> Sample:
    return Sample(
        one.number("at_s"), one.number("ms"), one.text("node"), one.text("action"),
        one.text("outcome"), one.text("why"),
    )  # fmt: skip


def _seen(one: Seen) -> dict[str, Json]:
    return {
        "at_s": _number(one.at_s),
        "node": one.node,
        "subject": one.subject,
        "belief": one.belief,
    }


def _read_seen(one: Fields) -> Seen:
    return Seen(one.number("at_s"), one.text("node"), one.text("subject"), one.text("belief"))


def _coverage(one: Coverage) -> dict[str, Json]:
    return {
        "at_s": _number(one.at_s),
        "owner": one.owner,
        "took_s": [_number(value) for value in one.took_s],
        "reached_count": one.reached_count,
    }


def _read_coverage(one: Fields) -> Coverage:
    reached = one.whole("reached_count") if one.has("reached_count") else 0
    return Coverage(one.number("at_s"), one.text("owner"), one.row("took_s"), reached)


def _finding(one: Finding) -> dict[str, Json]:
    return {
        "invariant": one.invariant,
        "checker": one.checker,
        "verdict": one.verdict.value,
        "looked_at": one.looked_at,
        "witness": one.witness,
        "figures": _numbers(one.figures),
        "unjudged": list(one.unjudged),
    }


def _read_finding(one: Fields) -> Finding:
    return Finding(
        one.text("invariant"), one.text("checker"), one.verdict("verdict"), one.whole("looked_at"),
        one.text("witness"), one.numbers("figures"),
        one.texts("unjudged") if one.has("unjudged") else (),
    )  # fmt: skip


def _read_expected(one: Fields) -> Expected:
    return Expected(one.text("text"), one.verdict("verdict"), one.text("why"))


def _moment(one: Moment) -> dict[str, Json]:
    return {
        "at_s": _number(one.at_s),
        "text": one.text,
        "node": one.node,
        "log": one.log,
        "line": one.line,
    }


def _read_moment(one: Fields) -> Moment:
    return Moment(
        one.number("at_s"), one.text("text"), one.text("node"), one.text("log"), one.whole("line")
    )


def _number(value: float) -> Json:
    return value if math.isfinite(value) else str(value)


def _numbers(values: Mapping[str, float]) -> dict[str, Json]:
    return {name: _number(value) for name, value in values.items()}


def _refuse(word: str) -> Json:
    raise ValueError(f"{word} is no JSON")
