"""The power fails at every point of a small run of a real node; and is seen to take what it may."""

from pathlib import Path

import pytest

from chaos.durability.cuts import CUTS
from chaos.durability.recording import record, why_not
from chaos.durability.starting import start_some
from chaos.durability.sweep import Swept, sweep

OPERATIONS = 12
ONCE = dict.fromkeys(CUTS, 1)
"""The command tries the random cuts several times at each point."""

WHY_NOT = why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(WHY_NOT), reason=f"NO POWER-LOSS SWEEP: {WHY_NOT}"),
]


def swept(tmp_path: Path, *options: str) -> Swept:
    recording = record(tmp_path / "recorded", OPERATIONS, 1, options)
    found = sweep(recording, tmp_path, 1, lambda _: None, ONCE)
    if not options:
        start_some(recording, tmp_path, 1, 1, found, lambda _: None)
    return found


def test_nothing_acknowledged_is_lost_whenever_the_power_goes(tmp_path: Path) -> None:
    found = swept(tmp_path)

    assert found.violations == []
    assert found.acknowledged >= OPERATIONS
    assert found.syncs.keys() >= {"kith.db", "kith.db-wal", "a", "/", "identity.key.new"}
    assert found.states.keys() == {"absent", "good", "recovered"}
    assert found.started == 1


def test_a_node_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    found = swept(tmp_path, "--unsafe-no-sync")

    assert found.invalid > 0
    assert any("is missing" in what for what in found.violations)
    assert any("had left the node" in what for what in found.violations)
