"""What keeps a machine from bending links is said before anything starts, with the remedy."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster import composed, wires
from chaos.cluster.cluster import Ability, ClusterError
from chaos.cluster.kinds import make_cluster, running

from .situations import TWO, skip_unless_possible

ROOT = Path(__file__).parents[3]
TOOLS = ("ip", "nft", "iptables", "tc")
ASK = """
from chaos.cluster import wires
print(wires.delay_means(), "|", wires.why_no_delay())
"""
WITHOUT_TUN = 'mount -t tmpfs none /dev/net && exec "$@"'

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _root_only() -> None:
    skip_unless_possible("namespaces")


def only(directory: Path, *tools: str) -> str:
    """A PATH on which there are these tools, as far as they are here, and no others."""
    path = directory / "tools"
    path.mkdir()
    for tool in tools:
        if found := shutil.which(tool):
            (path / tool).symlink_to(found)
    return str(path)


@pytest.mark.parametrize(
    ("ability", "missing"),
    [(Ability.DELAY, "tc"), (Ability.BANDWIDTH, "tc"), (Ability.LINKS, "iptables")],
)
def test_a_missing_tool_is_named_before_anything_starts(
    ability: Ability, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", only(tmp_path, *(tool for tool in TOOLS if tool != missing)))
    plan = replace(TWO, needs=frozenset({ability}))

    said = f"cannot do {ability.value} here: no {missing}; on Debian"
    with (
        pytest.raises(ClusterError, match=said),
        running(make_cluster("namespaces", plan, tmp_path / "run")),
    ):
        pytest.fail("it started")
    assert not (tmp_path / "run").exists()


def test_what_this_machine_can_do_it_says_it_can() -> None:
    assert [wires.why_no_cuts(), wires.why_no_bandwidth(), wires.why_no_delay()] == ["", "", ""]


def test_a_kernel_without_netem_and_tun_devices_is_told_of() -> None:
    if wires.delay_means() == wires.NETEM:
        pytest.skip("NOT TESTED: a kernel without netem; this one has it")
    words = ["unshare", "--mount", "sh", "-c", WITHOUT_TUN, "sh", sys.executable, "-c", ASK]

    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert said.startswith("tun | the kernel has neither netem")
    assert "/dev/net/tun" in said


@pytest.mark.parametrize("kind", ["compose", "attach"])
def test_what_enters_containers_is_missed_by_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unless_possible("compose")
    cluster = make_cluster(kind, TWO, tmp_path)
    for ability in composed.INSIDE:
        assert cluster.why_not(ability) == ""

    monkeypatch.setenv("PATH", only(tmp_path, *TOOLS, "docker", "docker-compose"))

    for ability in composed.INSIDE:
        assert cluster.why_not(ability).startswith("no nsenter"), ability
    assert cluster.why_not(Ability.MEMORY) == "" or os.geteuid() != 0
