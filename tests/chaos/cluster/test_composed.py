"""Nodes in containers: their addresses, their bounds, and what bends them."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster import composed, engine
from chaos.cluster.client import Client
from chaos.cluster.cluster import Ability, ClusterError, ClusterPlan, DiskFailure, names_of
from chaos.cluster.composed import ComposeCluster
from chaos.cluster.kinds import make_cluster, running

from .situations import (
    ONE,
    PATIENCE_S,
    THREE,
    TWO,
    ahead_s,
    answers,
    code,
    expect_within,
    identity,
    open_cluster,
    register,
    see_each_other,
    skip_unless_able,
    skip_unless_possible,
)

MIB = 1024 * 1024
ODD = ClusterPlan(names=("a", "f", "j"), options=("--log-level", "debug"))
"""One node that the project's file has, and two that it has not."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeCluster]:
    skip_unless_possible("compose")
    cluster = ComposeCluster(ODD, tmp_path_factory.mktemp("odd"))
    with running(cluster):
        yield cluster


def test_nodes_beyond_those_of_the_file_are_like_them(odd: ComposeCluster) -> None:
    expect_within(PATIENCE_S, lambda: see_each_other(odd), "all see each other")

    for member in odd.members:
        ids = member.container.id
        template = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.User}}"
        found = engine.docker("inspect", "--format", template, ids).split()
        assert found == ["true", "[ALL]", "10001:10001"]
        assert not member.container.restarts
        volume = engine.docker("inspect", "--format", "{{json .Mounts}}", ids)
        assert f"{odd.project}_{member.name}" in volume


def test_programs_of_this_machine_run_in_a_nodes_network(odd: ComposeCluster) -> None:
    skip_unless_able(odd, Ability.LINKS)
    for member in odd.members:
        words = member.inside("ip", "-4", "-brief", "address")
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert f"{member.address}/24" in shown


def test_what_is_left_in_a_network_of_a_container_ends_with_the_cluster(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: programs in a container's network; not root")
    with open_cluster("compose", tmp_path, ONE) as cluster:
        words = cluster.members[0].inside("sleep", "600")
        visitor = subprocess.Popen(words, start_new_session=True)

    try:
        assert visitor.wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        visitor.kill()


def test_who_has_no_token_is_refused(odd: ComposeCluster) -> None:
    member = odd.members[0]

    with Client(member.http_port, host=member.address) as stranger:
        refused = stranger.call("GET", "/v1/services")

    assert (refused.status, code(refused)) == (401, "unauthenticated")
    assert member.call("GET", "/v1/services").status == 200


def test_limits_hold_from_now_on_and_end_where_they_began(odd: ComposeCluster) -> None:
    member = odd.members[1]
    before = engine.inspect(member.container.id)[0]

    member.limit(memory_bytes=100 * MIB, cpu_share=0.25)

    (held,) = engine.inspect(member.container.id)
    assert (held.memory_bytes, held.cpus) == (100 * MIB, 0.25)
    member.limit()
    (after,) = engine.inspect(member.container.id)
    assert (after.memory_bytes, after.cpus) == (before.memory_bytes, before.cpus)
    with pytest.raises(ClusterError, match="neither may be negative"):
        member.limit(cpu_share=-1)


def test_data_that_was_put_back_by_root_is_the_nodes_own(
    odd: ComposeCluster, tmp_path: Path
) -> None:
    skip_unless_able(odd, Ability.DISKS)
    member = odd.members[2]
    before = identity(member)
    member.kill()
    shutil.copytree(member.data_dir, tmp_path / "copy")
    for path in member.data_dir.iterdir():
        path.unlink()

    shutil.copytree(tmp_path / "copy", member.data_dir, dirs_exist_ok=True)
    member.start()

    expect_within(PATIENCE_S, lambda: answers(member), "ready")
    assert identity(member) == before


def test_the_log_is_there_when_it_is_closed_and_no_rule_of_the_bridge_is_left(
    tmp_path: Path,
) -> None:
    skip_unless_possible("compose")
    cluster = ComposeCluster(replace(ODD, names=("a",)), tmp_path)
    with running(cluster):
        listing = ["network", "ls", "--quiet", "--filter", f"name={cluster.project}"]
        (network,) = engine.docker(*listing).split()
        assert f"br-{network}" in rules()

    assert f"br-{network}" not in rules()
    assert '"level":"debug"' in cluster.members[0].log.read_text()
    assert engine.docker("ps", "--all", "--quiet", "--filter", f"name={cluster.project}") == ""


def rules() -> str:
    """Of this machine's own network; only with root is there something to see."""
    if os.geteuid() != 0 or not shutil.which("iptables-save"):
        pytest.skip("NOT TESTED: rules of this machine's network; not root, or no iptables")
    return subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout


def test_clocks_and_disks_of_containers_are_bent(tmp_path: Path) -> None:
    needs = (Ability.CLOCKS, Ability.DISK_ERRORS, Ability.SMALL_DISKS)
    with open_cluster("compose", tmp_path, replace(TWO, disk_bytes=24 * MIB), *needs) as cluster:
        a, b = cluster.members
        assert [shutil.disk_usage(one.data_dir).total for one in (a, b)] == [24 * MIB] * 2

        a.shift_clock(-7200)
        assert ahead_s(a) == pytest.approx(-7200, abs=1)
        assert abs(ahead_s(b)) < 1
        a.shift_clock(0)

        before = identity(b)
        b.fail_disk(DiskFailure.FULL)
        assert code(register(b)) == "disk_full"
        assert register(a).status == 201
        b.fail_disk(None)
        expect_within(PATIENCE_S, lambda: register(b).status in (200, 201), "room again")
        b.kill()
        b.start()
        expect_within(PATIENCE_S, lambda: answers(b), "ready")
        assert identity(b) == before
        assert b.call("GET", "/v1/services/web").rows("instances") != []


def test_a_missing_image_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := engine.why_not():
        pytest.skip(f"NOT TESTED: a missing image; {reason}")
    monkeypatch.setenv("KITH_IMAGE", "kith:nobody-made-this")
    cluster = make_cluster("compose", THREE, tmp_path)

    assert "make image" in cluster.why_not(Ability.PROCESSES)
    with pytest.raises(ClusterError, match="no image kith:nobody-made-this"), running(cluster):
        pytest.fail("it started")


def test_more_nodes_than_ten_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="11 nodes; 10 at most"):
        make_cluster("compose", ClusterPlan(names=names_of(11)), tmp_path)


def test_another_build_is_not_had_by_containers(tmp_path: Path) -> None:
    skip_unless_possible("compose")

    assert "--cluster namespaces" in make_cluster("compose", THREE, tmp_path).why_not(
        Ability.VERSIONS
    )


def test_the_nodes_of_the_file_are_those_that_are_known() -> None:
    text = composed.COMPOSE_FILE.read_text("utf-8")

    assert [name for name in composed.SERVICES if f"\n  {name}:\n    <<: *node\n" not in text] == []
    assert "{ports" not in text.partition(f"\n  {composed.PATTERN}:")[2].partition("\n  c:")[0]
