"""`kith doctor`: the table, the document, and the exit codes."""

import json
from pathlib import Path

from node.durability import DATABASE
from protocol.commits import Dot
from protocol.delivery.standing import Delivery
from protocol.effects import KeepDelivery
from protocol.identity import NodeId, id_text, short_id
from storage import open_store
from tests.node.durability.directories import CLUSTER, fill
from tests.node.transport.people import credentials

from .conftest import Type


def write(directory: Path, node: NodeId, keeps: list[KeepDelivery]) -> None:
    store = open_store(directory / DATABASE, cluster=CLUSTER, node=node)
    store.write(keeps)
    store.close()


def test_good_directories_are_a_table_and_exit_0(kith: Type, tmp_path: Path) -> None:
    nodes = [fill(tmp_path / name) for name in "ab"]

    typed = kith("doctor", str(tmp_path / "a"), str(tmp_path / "b"))

    assert (typed.code, typed.err) == (0, "")
    heading, _, *rows = typed.out.splitlines()
    assert heading.startswith("DIRECTORY")
    assert [row.split()[1:4] for row in rows] == [["good", short_id(n), "good"] for n in nodes]


def test_the_document_names_every_own_service_and_result(kith: Type, tmp_path: Path) -> None:
    node = fill(tmp_path, own=2)

    typed = kith("doctor", "--json", str(tmp_path))
    (found,) = json.loads(typed.out)["directories"]

    assert typed.code == 0
    assert (found["state"], found["node"]) == ("good", id_text(node))
    assert (found["incarnation"], found["owners"], found["records"]) == (1, 2, 9)
    assert found["own"].keys() == {"epoch", "version", "hash"}
    assert found["last"]["version"] == found["own"]["version"]
    services = [one for one in found["own_records"] if one["kind"] == "service"]
    assert [(one["name"], one["id"], one["update_id"]) for one in services] == [
        ("web", "web-0", "u-web-0"), ("web", "web-1", "u-web-1"),
    ]  # fmt: skip
    assert [one["key"] for one in found["own_records"] if one["kind"] == "node"] == ["node"]
    assert found["results_count"] == 2
    assert [one["update_id"] for one in found["results"]] == ["u-web-0", "u-web-1"]
    assert found["problems"] == []


def test_the_queue_on_disk_is_what_was_committed_after_what_each_peer_holds(
    kith: Type, tmp_path: Path
) -> None:
    node, peer, other = fill(tmp_path, own=2), credentials(9).chain.node, NodeId(bytes(32))
    (empty,) = json.loads(kith("doctor", "--json", str(tmp_path)).out)["directories"]
    before = empty["queue"]
    first = before["outbox"]["oldest"]
    assert (before["deliveries"], before["outbox"]["commits"]) == ([], 3)
    rows = (Delivery(peer=peer, held=Dot(**first)), Delivery(peer=other, stored=Dot(0, 7)))
    write(tmp_path, node, [KeepDelivery(row) for row in rows])

    (found,) = json.loads(kith("doctor", "--json", str(tmp_path)).out)["directories"]
    typed = kith("doctor", str(tmp_path))

    nothing = {"epoch": -1, "version": 0}
    own = {name: found["own"][name] for name in first}
    assert found["queue"] == {
        "deliveries": [
            {"peer": id_text(one), "held": held, "stored": stored, "waiting": waiting}
            for one, held, stored, waiting in sorted([
                (peer, first, nothing, 2), (other, nothing, {"epoch": 0, "version": 7}, 3),
            ])
        ],
        "outbox": {"commits": 3, "oldest": first, "newest": own},
    }  # fmt: skip
    assert found["heads"].keys() == {id_text(node), id_text(peer)}
    assert found["heads"][id_text(node)] == own
    assert "3 for 2" in typed.out


def test_one_damaged_among_several_is_exit_1_and_says_what_is_wrong(
    kith: Type, tmp_path: Path
) -> None:
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    (tmp_path / "b" / DATABASE).write_bytes(b"groceries")

    typed = kith("doctor", *(str(tmp_path / name) for name in "abc"))
    shaped = kith("doctor", "--json", *(str(tmp_path / name) for name in "abc"))

    assert (typed.code, shaped.code) == (1, 1)
    assert "does not start like a SQLite database" in typed.err
    states = [one["state"] for one in json.loads(shaped.out)["directories"]]
    assert states == ["good", "damaged", "absent"]


def test_what_is_not_there_is_exit_2(kith: Type, tmp_path: Path) -> None:
    typed = kith("doctor", str(tmp_path / "nowhere"))

    assert typed.code == 2
    assert "there is no such directory" in typed.err


def test_wrong_usage_is_exit_64(kith: Type, tmp_path: Path) -> None:
    assert kith("doctor").code == 64
    missing = str(tmp_path / "nowhere")
    assert kith("doctor", ".", "--key-passphrase-file", missing).code == 64
