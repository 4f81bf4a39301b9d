"""Records as they are made here, and as they are made by nodes, which run under `-OO`."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import cast

import pytest

from protocol.records import CheckRecord, CheckType, Health, ServiceRecord

CHECK = CheckRecord(
    id="c", type=CheckType.TTL, target="", interval_ms=100, timeout_ms=50,
    failures_before_critical=1, passes_before_passing=1, deregister_after_ms=0,
    status=Health.PASSING, output="", changed_at=0,
)  # fmt: skip
SERVICE = ServiceRecord(name="web", id="web-1", address="10.0.0.1", port=80, checks=(CHECK,))

SHOW = """
from dataclasses import fields, replace
from protocol.records import ServiceRecord
from tests.protocol.test_records import SERVICE, CHECK

print(__debug__)
moved = replace(SERVICE, port=81, maintenance="off")
print(SERVICE, moved, moved.health, sep="\\n")
print(SERVICE == moved, moved == replace(moved), CHECK == replace(CHECK))
print(hash(replace(moved)) == hash(moved), len({SERVICE, moved, replace(moved)}))
print([(field.name, field.kw_only) for field in fields(ServiceRecord)])
for given in ({}, {"name": "a", "id": "b", "address": "c", "prot": 1}):
    try:
        ServiceRecord(**given)
    except TypeError as error:
        print(error)
"""


def shown(*options: str) -> tuple[str, str]:
    """Whether a Python of its own has assertions, and what is seen of records there."""
    command = [sys.executable, *options, "-c", SHOW]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    debug, _, rest = said.partition("\n")
    return debug, rest


def test_records_are_the_same_as_deployed() -> None:
    tested, here = shown()
    deployed, there = shown("-OO")

    assert (tested, deployed) == ("True", "False"), "they are made in two ways"
    assert here == there
    assert str(SERVICE) in here


@pytest.mark.parametrize("record", [SERVICE, CHECK])
def test_nothing_is_assigned_to_a_record(record: ServiceRecord | CheckRecord) -> None:
    with pytest.raises(FrozenInstanceError):
        cast(type, record).id = "another"  # type: ignore[attr-defined]

    assert replace(record, id="another") != record
