"""An owner's log over HTTP: its last commits, the newest first."""

from typing import cast

import pytest

from .situations import open_node, open_pair, until, web

Rows = list[dict[str, object]]


@pytest.mark.trio
async def test_the_log_shows_what_each_commit_changed_and_what_it_follows() -> None:
    async with open_pair() as (alice, bob):
        await alice.expect(201, "POST", "/v1/services", web())
        await alice.expect(200, "DELETE", "/v1/services/web/web-8000")
        await until(lambda: bob.context.peer.registry.root == alice.context.peer.registry.root)

        theirs = await bob.expect(200, "GET", f"/v1/owners/{alice.id}/log")
        ours = await alice.expect(200, "GET", "/v1/owners/self/log?limit=2")

        commits = cast(Rows, theirs["commits"])
        assert (theirs["owner"], theirs["node"], theirs["disputed"]) == (alice.id, "node-1", False)
        assert commits[0]["changes"] == [
            {"kind": "service", "key": "web/web-8000", "change": "removed"}
        ]
        assert commits[1]["changes"] == [
            {"kind": "service", "key": "web/web-8000", "change": "set"}
        ]
        assert commits[0]["parents"] == [commits[1]["hash"]]
        assert [one["merge"] for one in commits[:2]] == [False, False]
        assert ours["commits"] == commits[:2]


@pytest.mark.trio
async def test_of_a_state_that_came_whole_only_the_head_is_shown() -> None:
    async with open_node() as node:
        branch = node.context.peer.registry.branch(node.context.me)
        assert branch is not None
        branch._recent.clear()

        shown = await node.expect(200, "GET", "/v1/owners/self/log")

        (head,) = cast(Rows, shown["commits"])
        assert head["version"] == branch.dot.version
        assert "changes" not in head


@pytest.mark.trio
async def test_a_log_of_nobody_is_not_found() -> None:
    async with open_node() as node:
        for owner in ("nobody", "a" * 52):
            await node.refused(404, "not_found", "GET", f"/v1/owners/{owner}/log")
        await node.refused(400, "invalid_field", "GET", "/v1/owners/self/log?limit=33")
