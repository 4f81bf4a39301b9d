"""Every kind of fault: what a scenario may say of it, and what is refused."""

import pytest

from chaos.faults import FAULTS
from chaos.faults.fault import Table, UnreadableFaultError

NAMES = ("a", "b", "c", "d", "e")
GOOD: tuple[tuple[str, Table, tuple[str, ...]], ...] = (
    ("partition", {"groups": [["a", "b", "c"], ["d", "e"]]}, ("d", "e")),
    ("one-way", {"from": ["e"], "to": ["a", "b"]}, ("e",)),
    ("ring-partition", {}, ()),
    ("isolate", {"nodes": ["a"]}, ("a",)),
    ("flap", {"groups": [["a", "b", "c"], ["d"]], "down": "2s", "up": "1s"}, ("d",)),
    ("swizzle", {"nodes": ["a", "b"], "every": "1s"}, ("a", "b")),
    ("loss", {"share": 0.3}, ()),
    ("kill", {"nodes": ["a"]}, ("a",)),
    ("stop", {"nodes": ["a"]}, ("a",)),
    ("pause", {"nodes": ["a", "b"]}, ("a", "b")),
    ("restart", {"nodes": ["a", "b"], "rolling": True, "gap": "2s"}, ("a",)),
    ("crash-storm", {"every": "1s", "down": "2s", "most": 2}, ("a", "b")),
    ("start", {"nodes": ["e"]}, ()),
    ("wipe", {"nodes": ["e"]}, ("e",)),
    ("old-snapshot", {"nodes": ["e"]}, ("e",)),
    ("disk-full", {"nodes": ["b"]}, ("b",)),
    ("disk-errors", {"nodes": ["b"], "how": "syncs"}, ("b",)),
    ("memory-pressure", {"nodes": ["b"], "mib": 80}, ("b",)),
    ("cpu-starvation", {"nodes": ["b"], "share": 0.2}, ("b",)),
    ("clock-skew", {"nodes": ["b"], "offset": "1h", "behind": True}, ("b",)),
    ("clock-jump", {"nodes": ["b"], "offset": "10m", "every": "2s"}, ("b",)),
    ("bandwidth", {"nodes": ["b"], "rate": "2mbit"}, ("b",)),
    ("delay", {"latency": "50ms", "jitter": "10ms", "reorder": 0.1, "duplicate": 0.01}, ()),
    ("slanderer", {"nodes": ["d"]}, ("d",)),
    ("forker", {"nodes": ["d"], "targets": ["a", "b"], "per_s": 1}, ("d",)),
    ("flooder", {"nodes": ["d"], "per_s": 500}, ("d",)),
    ("flooder", {"nodes": ["d"], "stranger": True}, ()),
    ("delay", {"latency": "5ms", "groups": [["a"], ["b"]]}, ()),
    ("dns", {}, ()),
    ("dns", {"nodes": ["a"], "names": ["b"], "how": "wrong", "to": ["c"]}, ()),
)
BAD: tuple[tuple[str, Table, str], ...] = (
    ("partition", {}, "groups"),
    ("partition", {"groups": [["a"], ["a"]]}, "groups"),
    ("partition", {"groups": [["a"], ["z"]]}, "groups"),
    ("one-way", {"from": ["a"], "to": ["a"]}, "to"),
    ("isolate", {"nodes": []}, "nodes"),
    ("isolate", {"nodes": ["a"], "groups": []}, "groups"),
    ("flap", {"groups": [["a"], ["b"]], "down": 3}, "down"),
    ("loss", {"share": 1.5}, "share"),
    ("crash-storm", {"most": 9}, "most"),
    ("restart", {"nodes": ["a"], "rolling": 1}, "rolling"),
    ("disk-errors", {"nodes": ["a"], "how": "odd"}, "how"),
    ("memory-pressure", {"nodes": ["a"], "mib": 1}, "mib"),
    ("clock-skew", {"nodes": ["a"]}, "offset"),
    ("bandwidth", {"nodes": ["a"], "rate": "fast"}, "rate"),
    ("delay", {}, "latency"),
    ("slanderer", {}, "nodes"),
    ("slanderer", {"nodes": ["a", "b"]}, "nodes"),
    ("slanderer", {"nodes": ["a"], "targets": ["a"]}, "targets"),
    ("slanderer", {"nodes": ["a"], "stranger": True}, "stranger"),
    ("forker", {"nodes": ["a"], "targets": ["b"]}, "targets"),
    ("flooder", {"nodes": ["a"], "per_s": 1_000_000}, "per_s"),
    ("delay", {"latency": 50}, "latency"),
    ("delay", {"latency": "1h"}, "latency"),
    ("delay", {"latency": "5ms", "jitter": "6ms"}, "jitter"),
    ("delay", {"duplicate": 1.0}, "duplicate"),
    ("delay", {"duplicate": 0.1, "reorder": 0.1}, "reorder"),
    ("dns", {"how": "slow"}, "how"),
    ("dns", {"names": ["z"]}, "names"),
    ("dns", {"to": ["a"]}, "to"),
    ("dns", {"how": "wrong", "to": ["a", "b"]}, "to"),
)


@pytest.mark.parametrize(("kind", "table", "victims"), GOOD, ids=[kind for kind, _, _ in GOOD])
def test_a_fault_is_read_and_says_whom_it_puts_out_of_action(
    kind: str, table: Table, victims: tuple[str, ...]
) -> None:
    FAULTS[kind].read(table, NAMES)

    assert FAULTS[kind].victims(table, NAMES) == victims
    assert dict.fromkeys(table).keys() <= FAULTS[kind].fields.keys()
    assert {kind for kind, _, _ in GOOD} == set(FAULTS)


@pytest.mark.parametrize(("kind", "table", "field"), BAD)
def test_a_table_that_no_fault_can_be_is_refused_by_its_field(
    kind: str, table: Table, field: str
) -> None:
    with pytest.raises(UnreadableFaultError) as caught:
        FAULTS[kind].read(table, NAMES)

    assert caught.value.field == field
