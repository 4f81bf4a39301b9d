"""Climbs and blasts as documents, and back."""

import json
from pathlib import Path

import pytest

from chaos.reports.reading import UnreadableRecordError
from chaos.reports.series.document import SERIES, Series, document_of, load, save
from chaos.verdict import Verdict

from .situations import a_blast, a_climb, an_effect

ALL = (
    a_climb(Verdict.VALID, Verdict.VALID, Verdict.INVALID),
    a_climb(),
    a_blast(an_effect("a", b=0.5), an_effect("b", "pause")),
    a_blast(),
)


@pytest.mark.parametrize("series", ALL)
def test_what_is_written_is_read_back(series: Series, tmp_path: Path) -> None:
    save(series, tmp_path)

    assert load(tmp_path) == series
    assert list(tmp_path.iterdir()) == [tmp_path / SERIES]


def test_programs_are_told_the_result_too() -> None:
    climb, _, blast, _ = (document_of(one) for one in ALL)

    assert (climb["verdict"], climb["borne"], climb["ended_at"]) == ("valid", "30 %", "50 %")
    assert str(climb["result"]).startswith("It holds with 30 %")
    assert blast["effects"] is not None
    assert json.loads(json.dumps(blast))["effects"][0]["noticed_s"] == {"b": 0.5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "2 is not 1"),
        ({"series": "odd"}, "'odd' is neither gradual nor blast"),
        ({"steps": [{"rate": 5}]}, "5 is not a text"),
        ({"interrupted": "no"}, "'no' is not true or false"),
        ({"rates": None}, "it is missing; a list belongs there"),
    ],
)
def test_what_is_none_is_refused_with_the_field(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    document = {**document_of(ALL[0]), **change}
    (tmp_path / SERIES).write_text(json.dumps(document))

    with pytest.raises(UnreadableRecordError) as refused:
        load(tmp_path)

    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "[1]", '{"format": true}'])
def test_no_document_at_all_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / SERIES).write_text(text)

    with pytest.raises(UnreadableRecordError):
        load(tmp_path)
    with pytest.raises(UnreadableRecordError):
        load(tmp_path / "missing")
