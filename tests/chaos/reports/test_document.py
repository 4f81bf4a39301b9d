"""A record as a document, and back."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.reports.document import FORMAT, RECORD, decode, document_of, encode, load, save
from chaos.reports.reading import UnreadableRecordError
from chaos.running.record import RunRecord

from .situations import a_bare_run, a_broken_run, a_run
from .strategies import ANY, RECORDS


@pytest.mark.parametrize("record", [a_run(), a_broken_run(), a_bare_run()])
def test_what_is_written_is_read_back(record: RunRecord, tmp_path: Path) -> None:
    save(record, tmp_path / RECORD)

    assert load(tmp_path) == load(tmp_path / RECORD) == record
    assert list(tmp_path.iterdir()) == [tmp_path / RECORD]


@ANY
@given(record=RECORDS)
def test_any_record_comes_back_with_every_field(record: RunRecord) -> None:
    text = encode(record)
    back = decode(text)

    # NaN is no NaN, so texts are compared, in which it is a word.
    assert encode(back) == text
    assert repr(back) == repr(record)


def test_every_field_of_a_record_is_in_the_document() -> None:
    document = document_of(a_run())

    assert list(document) == ["format", *RunRecord.__dataclass_fields__]


def test_a_field_that_an_earlier_writer_did_not_know_is_none_of_them() -> None:
    document = json.loads(encode(a_run()))
    for one in document["coverage"]:
        del one["reached_count"]

    assert {one.reached_count for one in decode(json.dumps(document)).coverage} == {0}


def test_numbers_that_json_does_not_know_are_texts() -> None:
    record = a_run()
    record.figures = {"healed_s": math.inf, "a_s": -math.inf, "b_s": math.nan}

    figures = json.loads(encode(record))["figures"]

    assert figures == {"healed_s": "inf", "a_s": "-inf", "b_s": "nan"}
    assert decode(encode(record)).figures["healed_s"] == math.inf


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no JSON"),
        ("[1]", "no object"),
        ("{}", "format: it is missing, so this is no record of a run"),
        ('{"format": 99}', f"format: 99 is not {FORMAT}"),
        ('{"format": true}', "format: True is not"),
        ('{"format": 1}', "scenario: it is missing; a text belongs there"),
        ('{"format": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "this is no JSON"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(UnreadableRecordError) as caught:
        decode(text)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seed", "7", "seed: '7' is not a whole number"),
        ("verdict", "fine", "verdict: 'fine' is no verdict; there are valid, invalid, unknown"),
        ("nodes", ["a", 1], "nodes: it holds something that is no text"),
        ("figures", {"healed_s": "soon"}, "figures.healed_s: 'soon' is not a number"),
        ("samples", [3], "samples[0]: 3 is no object"),
        ("samples", [{"at_s": None}], "samples[0].at_s: it is missing"),
        ("spans", {}, "spans: an object with nothing is not a list"),
        ("duration_s", 10**400, "duration_s: it is too large"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(name: str, value: object, said: str) -> None:
    document = {**document_of(a_run()), name: value}

    with pytest.raises(UnreadableRecordError) as caught:
        decode(json.dumps(document))

    assert said in str(caught.value)


@ANY
@given(name=st.sampled_from(list(RunRecord.__dataclass_fields__)),
       value=st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
       | st.dictionaries(st.text(max_size=2), st.none(), max_size=2))  # fmt: skip
def test_no_document_makes_the_reader_raise_anything_else(name: str, value: object) -> None:
    text = json.dumps({**document_of(a_bare_run()), name: value})
    refused = ""

    try:
        decode(text)
    except UnreadableRecordError as error:
        refused = error.field

    assert refused.startswith(name) or not refused


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordError, match="cannot be read: No such file"):
        load(tmp_path)
