"""A guest's own key: its file, and what is signed with it, as a real node judges it."""

import stat
from pathlib import Path

import pytest

from mesh import GuestKey, GuestKeyError, is_signed
from tests.node.api.situations import open_node, open_pair, until

PATH, CLUSTER = "/registration", "test"
BODY: dict[str, object] = {
    "action": "register",
    "id": "backend-7",
    "address": "10.0.0.7:9000",
    "metrics_port": 9100,
    "node_type": "backend",
    "is_load_balancer": False,
    "capabilities": ["http"],
}


def test_a_key_outlives_the_process_in_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path, key = tmp_path / "guest.key", GuestKey.create()

    key.save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert GuestKey.load(path).public_key == key.public_key
    assert GuestKey.create().public_key != key.public_key


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "guest.key"
    GuestKey.create().save(path)
    before = path.read_bytes()

    with pytest.raises(GuestKeyError, match="never overwritten"):
        GuestKey.create().save(path)
    with pytest.raises(GuestKeyError, match="No such file"):
        GuestKey.create().save(tmp_path / "nowhere" / "guest.key")

    assert path.read_bytes() == before


def test_a_key_file_that_is_open_damaged_or_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "guest.key"
    with pytest.raises(GuestKeyError, match="--new-key"):
        GuestKey.load(path)
    GuestKey.create().save(path)
    whole = path.read_text()
    path.chmod(0o640)
    with pytest.raises(GuestKeyError, match="chmod 600"):
        GuestKey.load(path)
    path.chmod(0o600)
    for content in ("", "[]", "[" * 4_000, whole.replace("guest key 1", "guest key 2")):
        path.write_text(content)
        with pytest.raises(GuestKeyError, match="no guest's key"):
            GuestKey.load(path)
    place = whole.index('"seed"') + len('"seed": "')
    path.write_text(whole[:place] + ("B" if whole[place] == "A" else "A") + whole[place + 1 :])
    with pytest.raises(GuestKeyError, match="damaged"):
        GuestKey.load(path)


def test_what_is_signed_is_whole_and_any_change_shows() -> None:
    key = GuestKey.create()

    signed = key.sign(BODY, cluster=CLUSTER)

    added = {"cluster", "last_updated", "public_key", "signature"}
    assert set(signed) == {*BODY, *added}
    assert is_signed(signed, cluster=CLUSTER)
    assert not is_signed(signed, cluster="other")
    for name in signed:
        assert not is_signed({**signed, name: "x"}, cluster=CLUSTER), name
    assert not is_signed({**signed, "more": 1}, cluster=CLUSTER)
    assert not is_signed(BODY, cluster=CLUSTER)
    assert not is_signed({**signed, "metrics_port": 2**53}, cluster=CLUSTER)


def test_the_time_of_a_word_rises_whatever_the_clock_says() -> None:
    key = GuestKey.create()
    ahead = "2190-01-01T00:00:00.500Z"

    words = [key.sign(BODY, cluster=CLUSTER)["last_updated"] for _ in range(100)]
    assert len(set(words)) == 100
    assert words == sorted(map(str, words))
    said = key.sign(BODY, cluster=CLUSTER, after=ahead)["last_updated"]
    assert said == "2190-01-01T00:00:00.501Z"
    assert key.sign(BODY, cluster=CLUSTER)["last_updated"] == "2190-01-01T00:00:00.502Z"
    own = key.sign({**BODY, "last_updated": ahead}, cluster=CLUSTER)
    assert own["last_updated"] == ahead, "what the caller says stands"
    for strange in ("yesterday", "2026-01-02T03:04:05"):
        with pytest.raises(GuestKeyError, match="no time"):
            key.sign(BODY, cluster=CLUSTER, after=strange)


def test_a_body_of_another_cluster_or_key_or_without_a_form_is_not_signed() -> None:
    key, other = GuestKey.create(), GuestKey.create()
    for body in ({"cluster": "b"}, {"public_key": other.public_key}, {"x": 2**53}, {"x": object()}):
        with pytest.raises(GuestKeyError):
            key.sign({**BODY, **body}, cluster=CLUSTER)


@pytest.mark.trio
async def test_a_node_takes_the_words_of_one_key_in_order_and_nobody_elses() -> None:
    key, other = GuestKey.create(), GuestKey.create()
    async with open_node() as node:
        first = key.sign(BODY, cluster=CLUSTER)
        assert (await node.expect(200, "POST", PATH, first))["status"] == "registered"
        moved = key.sign({**BODY, "action": "update", "metrics_port": 1}, cluster=CLUSTER)
        assert (await node.expect(200, "POST", PATH, moved))["status"] == "updated"

        await node.refused(409, "stale_version", "POST", PATH, first)
        altered = {**key.sign(BODY, cluster=CLUSTER), "address": "6.6.6.6:666"}
        error = await node.refused(400, "invalid_field", "POST", PATH, altered)
        assert error["field"] == "signature"
        foreign = other.sign(BODY, cluster=CLUSTER)
        await node.refused(403, "not_owner", "POST", PATH, foreign)
        elsewhere = key.sign(BODY, cluster="elsewhere")
        error = await node.refused(400, "invalid_field", "POST", PATH, elsewhere)
        assert error["field"] == "cluster"

        found = await node.expect(200, "GET", "/v1/peers/backend-7")
        assert (found["metrics_port"], found["signed_by"]) == (1, key.public_key)


@pytest.mark.trio
async def test_every_node_shows_who_signed_for_a_guest() -> None:
    key = GuestKey.create()
    async with open_pair() as (alice, bob):
        await alice.expect(200, "POST", PATH, key.sign(BODY, cluster=CLUSTER))
        vouched = {
            **BODY,
            "id": "keyless",
            "last_updated": key.sign({}, cluster="")["last_updated"],
        }
        await alice.expect(200, "POST", PATH, vouched)
        registry = bob.context.peer.registry
        await until(lambda: registry.guest("backend-7") and registry.guest("keyless"))

        for node in (alice, bob):
            peers = (await node.expect(200, "GET", "/v1/peers"))["peers"]
            assert isinstance(peers, list)
            signers = {one["id"]: one["signed_by"] for one in peers if "signed_by" in one}
            assert signers == {"backend-7": key.public_key, "keyless": alice.id}
