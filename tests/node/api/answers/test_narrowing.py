"""Filters pass what nothing speaks against."""

from itertools import product

import pytest

from node.api.answers.narrowing import narrowed
from node.api.lookup import Filters
from node.api.shapes import is_shown
from tests.node.api.situations import open_node, web


@pytest.mark.trio
async def test_what_is_listed_is_what_no_filter_misses() -> None:
    told: tuple[dict[str, object], ...] = (
        {"tags": ["a", "b"], "version": "1", "metadata": {"env": "dev", "k": "v"}},
        {"tags": ["a"], "version": "2", "zone": "far", "metadata": {"env": "dev"}},
        {"checks": [{"type": "ttl", "ttl": "9s"}], "metadata": {"env": "live"}},
        {"checks": [{"type": "ttl", "ttl": "9s", "initial": "warning"}], "tags": ["b"]},
        {"tags": ["b"], "zone": "far", "version": "1"},
    )
    async with open_node() as node:
        for number, fields in enumerate(told):
            await node.expect(201, "POST", "/v1/services", web(port=8000 + number, **fields))
        await node.expect(
            200, "PUT", "/v1/services/web/web-8004/maintenance", {"enable": True, "reason": "r"}
        )
        peer, passed = node.context.peer, 0
        found = list(peer.registry.instances("web"))
        for health, tags, version, zone, metadata in product(
            (None, "passing", "critical", "warning", "maintenance"),
            ((), ("a",), ("a", "b"), ("b",)),
            (None, "1", "2"),
            (None, "far", "z1"),
            ((), (("env", "dev"),), (("env", "dev"), ("k", "v")), (("env", "live"),)),
        ):
            wanted = Filters(
                health=health, tags=tags, version=version, zone=zone, metadata=metadata,
                limit=10, near=False, index=None, wait_s=0.0,
            )  # fmt: skip
            expected = [
                one for one in found if is_shown(peer, one) and not [*wanted.misses(one, peer)]
            ]
            assert narrowed(found, wanted, peer) == expected, wanted
            passed += bool(expected)
        assert passed > 20, "most filters of such a test must not leave everything out"
