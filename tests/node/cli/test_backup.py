"""`kith backup` and `kith restore` of nodes that do not run: words, documents, exit codes."""

import json
import tarfile
from pathlib import Path

from node import keystore
from node.durability import DATABASE
from protocol.identity import id_text, short_id
from tests.node.durability.directories import fill

from .conftest import Type
from .fake_node import Answer, FakeNode


def test_a_backup_is_taken_and_put_back(kith: Type, tmp_path: Path) -> None:
    node = fill(tmp_path / "a", own=2, theirs=1)
    file = tmp_path / "a.kith"

    typed = kith("backup", str(file), "--data-dir", str(tmp_path / "a"))

    assert typed.code == 0
    assert f"node {short_id(node)} with its keys, own version" in typed.out
    assert "5 records of 2 owners" in typed.out
    assert "private keys" in typed.err
    typed = kith("restore", str(file), "--data-dir", str(tmp_path / "b"))
    assert typed.code == 0
    assert f"{tmp_path / 'b'}: node {short_id(node)} with its keys" in typed.out
    assert "signs nothing before a peer" in typed.err
    assert kith("doctor", str(tmp_path / "b")).code == 0


def test_the_documents_say_what_it_is_of(kith: Type, tmp_path: Path) -> None:
    node = fill(tmp_path / "a")
    file, words = tmp_path / "a.kith", ("--json", "--data-dir", str(tmp_path / "a"))

    typed = kith("backup", str(file), *words, "--without-keys")
    taken = json.loads(typed.out)
    assert (taken["node"], taken["keys"], taken["file"]) == (id_text(node), False, str(file))
    assert taken["bytes"] == file.stat().st_size
    assert "private keys" not in typed.err
    with tarfile.open(file) as tar:
        assert tar.getnames() == ["manifest.json", DATABASE]

    done = json.loads(kith("restore", str(file), *words).out)
    assert done["version"] == taken["version"]
    assert done["replaced"].startswith(str(tmp_path / "a" / "replaced-"))
    assert json.loads(kith("restore", "--alone", *words).out)["alone"] is True


def test_alone_it_signs_at_once(kith: Type, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    file, into = str(tmp_path / "a.kith"), ("--data-dir", str(tmp_path / "b"))
    kith("backup", file, "--data-dir", str(tmp_path / "a"))

    typed = kith("restore", file, *into, "--alone")

    assert (typed.code, typed.err) == (0, "")


def test_what_cannot_be_is_one_sentence(kith: Type, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    into, x = ("--data-dir", str(tmp_path / "a")), str(tmp_path / "x")
    (tmp_path / "x").write_text("groceries")
    for words, code, said in (
        (("backup", x, "--data-dir", str(tmp_path / "none")), 1, "there is no kith.db"),
        (("backup", str(tmp_path / "no" / "x"), *into), 64, "cannot be a file"),
        (("backup", str(tmp_path), *into), 64, "cannot be a file"),
        (("backup", x), 64, "--data-dir"),
        (("restore", x, *into), 1, "it is no backup of kith"),
        (("restore", str(tmp_path / "none"), *into), 2, "no such file"),
        (("restore", *into), 64, "which backup?"),
        (("restore", x, *into, "--key-passphrase-file", str(tmp_path / "none")), 64, "No such"),
        (("restore", "--alone", "--data-dir", str(tmp_path / "none")), 1, "there is no kith.db"),
    ):
        typed = kith(*words)
        assert typed.code == code, typed
        assert said in typed.err, typed


def test_a_running_node_is_asked_and_must_be_the_one_of_that_directory(
    fake: FakeNode, kith: Type, tmp_path: Path
) -> None:
    fill(tmp_path / "a")
    for path in ("/elsewhere/backup-00/kith.db", "/etc/passwd", ""):
        fake.answers["POST", "/v1/backup"] = Answer(200, {"path": path})
        with keystore.lock(tmp_path / "a"):
            typed = kith(
                "backup", str(tmp_path / "x"), "--data-dir", str(tmp_path / "a"), "--api", fake.url
            )
        assert typed.code == 1
        assert "which is not in" in typed.err
        assert not (tmp_path / "x").exists()
