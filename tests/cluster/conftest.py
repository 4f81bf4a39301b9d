"""Three real nodes, shared by the tests of this folder; each finds them whole and empty."""

from collections.abc import Iterator

import pytest

from node.cli.local_cluster import LocalCluster

from .situations import Town


@pytest.fixture(scope="package")
def _three() -> Iterator[Town]:
    with LocalCluster(3, http_port=0) as cluster:
        cluster.start()
        cluster.wait_ready()
        yield Town(cluster)


@pytest.fixture
def town(_three: Town) -> Town:
    """Nodes a, b and c, alive, of one mind, without services."""
    _three.make_whole()
    return _three
