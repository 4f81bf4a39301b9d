"""A damaged database: its node says so and does not start, or it comes back from its peers."""

from collections.abc import Sequence

import pytest

from node.cli.local_cluster import Child
from node.durability import DATABASE
from storage import Reserve

from .situations import PATIENCE_S, Extra, Town, expect_within, rows, say

SERVICES = 20
PAGE = 4096

pytestmark = pytest.mark.slow


def with_options(extra: Extra, *more: str, without: Sequence[str] = ()) -> None:
    """The same node, to be started with other words."""
    words = list(extra.child._command)
    for flag in without:
        place = words.index(flag)
        del words[place : place + 2]
    extra.child = Child(extra.node.name, [*words, *more], extra.child.log)


def damage(extra: Extra, *, versions_too: bool = False) -> None:
    """The second page and all behind it, and the -wal, as by a disk that lost them."""
    path = extra.data_dir / DATABASE
    path.write_bytes(path.read_bytes()[:PAGE] + b"\xa5" * 3 * PAGE)
    path.with_name(f"{DATABASE}-wal").unlink(missing_ok=True)
    if versions_too:
        (extra.data_dir / Reserve.NAME).unlink()


def registered(extra: Extra, town: Town) -> set[str]:
    """Instances registered with it, that its peers hold as well."""
    for number in range(SERVICES):
        extra.node.register("load", 1_000 + number)
    owner, head = extra.node.id(), extra.node.head()
    expect_within(
        PATIENCE_S, lambda: all(n.clock().get(owner) == head for n in town.nodes), "all hold them"
    )
    return set(extra.node.healths("load"))


@pytest.mark.parametrize(
    ("lost", "named"),
    [("database", "no_seeds"), ("versions_too", "no_seeds"), ("database", "seeds")],
)
def test_a_damaged_node_is_refused_and_rebuilt_from_its_peers_without_a_fork(
    town: Town, lost: str, named: str
) -> None:
    logs = town.log_sizes()
    with town.one_more(seed=town.cluster.gossip_address(0)) as extra:
        extra.wait_ready()
        acked, head, life = registered(extra, town), extra.node.head(), extra.node.incarnation()
        extra.kill()
        damage(extra, versions_too=lost == "versions_too")

        extra.child.start()
        expect_within(PATIENCE_S, lambda: extra.child.fallen, "ended")
        fallen = extra.child.fallen
        assert fallen is not None
        assert fallen.exit_code == 1
        assert "--rebuild" in fallen.last_lines[-1]
        assert str(extra.data_dir / DATABASE) in fallen.last_lines[-1]

        with_options(extra, "--rebuild", without=("--seed",) if named == "no_seeds" else ())
        extra.child.start()
        ready = expect_within(PATIENCE_S, lambda: extra.node.is_ready, "ready")
        assert set(extra.node.healths("load")) == acked
        assert extra.node.head() > head
        assert extra.node.incarnation() > life
        assert len(list(extra.data_dir.glob(f"{DATABASE}.damaged-*"))) == 1
        expect_within(PATIENCE_S, lambda: town.all_see(extra.node.name, "alive"), "alive again")
        owner, newest = extra.node.id(), extra.node.head()
        expect_within(
            PATIENCE_S, lambda: all(n.clock()[owner] == newest for n in town.nodes), "all know it"
        )
        assert all(set(node.healths("load")) == acked for node in town.nodes)
        assert town.forks(logs) == []
        assert extra.node.metrics()["kith_disputed_owners"] == 0

        extra.kill()
        extra.child.start()  # whole again, so `--rebuild` is idle
        extra.wait_ready()
        assert set(extra.node.healths("load")) == acked
        assert len(list(extra.data_dir.glob(f"{DATABASE}.damaged-*"))) == 1
        assert extra.node.events("fork_found") == []
    say(f"rebuilt, {named}, {lost}: {len(acked)} instances back, ready after {ready:.2f} s")


def test_a_node_alone_that_lost_its_versions_too_signs_nothing_and_says_why(town: Town) -> None:
    with town.one_more() as alone:
        alone.wait_ready()
        alone.node.register("load", 80)
        alone.kill()
        damage(alone, versions_too=True)

        with_options(alone, "--rebuild")
        alone.child.start()
        expect_within(
            PATIENCE_S, lambda: alone.node.events("waits_to_hear_of_itself"), "says that it waits"
        )
        answer = alone.node.call("GET", "/readyz")
        components = answer.value["components"]
        assert isinstance(components, dict)
        assert answer.status == 503
        assert "both" in str(components["gossip"])
        refused = alone.node.call("POST", "/v1/services", {"name": "load", "port": 81})
        assert refused.status == 503
        assert rows(alone.node.get("/v1/services/load"), "instances") == []


def test_a_node_alone_that_lost_only_its_database_goes_on_above_its_versions(town: Town) -> None:
    with town.one_more() as alone:
        alone.wait_ready()
        alone.node.register("load", 80)
        head, life = alone.node.head(), alone.node.incarnation()
        alone.kill()
        damage(alone)

        with_options(alone, "--rebuild")
        alone.child.start()
        alone.wait_ready()
        assert alone.node.head() > head
        assert alone.node.incarnation() > life
        alone.node.register("load", 81)
